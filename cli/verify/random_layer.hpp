// Seeded random layers, calls and data: what `verify --random` draws. A seed gives the same layer and the
// same floats on every machine: the generator and every mapping from its bits are spelled out here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"
#include "ir/graph/fitting_steps.hpp"
#include "ir/graph/graph_work.hpp"

namespace convsmith::cli {

using ir::input_steps;

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  int64_t between(int64_t low, int64_t high);  // both included
  bool one_in(int64_t n) { return between(1, n) == 1; }
  float signed_unit();  // [-1, 1)
  template <class T, size_t kCount>
  const T& pick(const T (&items)[kCount]) {
    return items[between(0, static_cast<int64_t>(kCount) - 1)];
  }

 private:
  uint64_t state_;
};

// An independent seed for item `index` of what `seed` began.
uint64_t derive_seed(uint64_t seed, uint64_t index);

enum class DataKind {
  kIntegers,  // small whole numbers: every partial sum is exact
  kFloats,    // plain numbers
  kSpecial,   // some NaN, infinities, zeros of both signs and denormals between plain numbers
  kHuge,      // numbers near the ends of the range as well, so that sums overflow
  kTiny,      // numbers around the smallest normal one, so that products and sums are denormal
};
std::string_view data_name(DataKind kind);  // as --data spells it
std::optional<DataKind> find_data(std::string_view name);

// One call of a layer. The same call has the same data everywhere.
struct Call {
  int64_t batch = 1;
  int64_t steps = 0;
  DataKind data = DataKind::kFloats;
  uint64_t seed = 0;
  Denormals denormals = Denormals::kKeep;
};

// A legal layer under Rules::kAny, its channels given by input_shape: every kind, padding, layout and
// activation, up to 64 taps, stride and dilation up to 16, groups of every form, up to 80 channels and
// filters with those around vector widths over-represented. Kind and activation go round with `number`, so
// that a few hundred layers have all of them.
LayerSpec random_layer(uint64_t seed, uint64_t number);

// Numbers that are tiny meet weights that are not: else all products would be zeros.
DataKind data_of_weights(DataKind kind);

// Makes a call one of tiny numbers at times, and flushes denormals in half of the calls that have some. A
// draw of its own.
void draw_denormals(Call& call);

// Batch 0..4 and 0..300 steps of at most 2 million multiply-adds, and the data, for the graph of a layer.
Call random_call(const ir::Graph& graph, uint64_t seed);

// The data of a call by input, and of a graph whose arrays have none by array.
using Arrays = std::vector<std::vector<float>>;
Arrays make_inputs(const ir::Graph& graph, const Call& call);
Arrays make_weights(const ir::Graph& graph, const Call& call);
std::vector<float> random_floats(int64_t count, DataKind data, uint64_t seed);

}  // namespace convsmith::cli
