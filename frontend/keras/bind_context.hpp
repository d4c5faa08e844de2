// What the binding of arguments needs to know about where they come from, and how its errors are made.
// Used by bind_layer, activations and keras_objects; made by parse_call and parse_config.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

// A set of Keras generations.
using Generations = uint8_t;
inline constexpr Generations kKeras2Only = 1;
inline constexpr Generations kKeras3Only = 2;
inline constexpr Generations kBothKeras = 3;

// The generations whose consent is enough under `rules`.
constexpr Generations accepted_generations(Rules rules) {
  return rules == Rules::kKeras2 ? kKeras2Only : rules == Rules::kKeras3 ? kKeras3Only : kBothKeras;
}

struct BindContext {
  Rules rules = Rules::kCommon;
  Dialect dialect = Dialect::kCall;
  bool from_json = false;      // keys that are not understood are notes, not errors
  std::string_view text = {};  // the call text, for positions
  std::vector<std::string>* notes = nullptr;
  // Where set, the dtype policies that float32 stands in for, with the number of layers, in the place of
  // notes.
  std::map<std::string, int>* narrowed = nullptr;

  bool accepts(Generations generations) const { return (generations & accepted_generations(rules)) != 0; }
  bool means_keras3() const { return dialect == Dialect::kKeras3; }
  // Whether the text leaves open which generation is meant.
  bool is_ambiguous() const { return dialect == Dialect::kCall && rules != Rules::kKeras2; }
  void note(std::string sentence) const { notes->push_back(std::move(sentence)); }

  // An error whose sentence (given without a full stop) ends with the position of `at`. `hint` is a sentence
  // behind it, or empty.
  tl::unexpected<Error> fail(const Value& at, std::string_view sentence,
                             ErrorCode code = ErrorCode::kInvalidSpec, std::string_view hint = {}) const;
};

// " of Keras 2", or nothing where both generations will do.
std::string_view generation_text(Rules rules);

// The last component of a dotted name.
constexpr std::string_view last_component(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

// The generation that a dotted name's package stands for, else that of the context: tf_keras is Keras 2,
// keras3 (our own spelling) is Keras 3.
Dialect dialect_of_package(std::string_view dotted_name, Dialect otherwise);

// A string that names something, or the last component of a dotted name; empty for other values.
std::string_view name_of(const Value& value);

// {"class_name": ..., "config": ...} as written by either generation; name is empty if it is something else.
// Functions have their name as the config: {"class_name": "function", "config": "relu"}.
struct SerializedObject {
  std::string_view name;
  bool is_function = false;
  const Value* config = nullptr;  // the dictionary of parameters, or null
};
SerializedObject read_serialized(const Value& value);

}  // namespace convsmith
