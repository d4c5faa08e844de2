// The element types of .npy files and their way to float32. Used by NpyReader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "convsmith/error.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith::cli {

// What NumPy writes as "<f8", "|u1" or ">i2".
struct ElementType {
  char kind = 'f';  // f: IEEE numbers, g: the long double of x86, i, u: integers, b: bool
  size_t bytes = 4;
  bool swapped = false;  // most significant byte first

  bool is_native_float() const { return kind == 'f' && bytes == 4 && !swapped; }
};

// An error is a piece of a sentence: what the type is and how to get one that can be read.
tl::expected<ElementType, std::string> parse_element_type(const Value& descr);

// "float64", as NumPy calls it.
std::string type_name(const ElementType& type);

// How many values were no float32 numbers.
struct Rounding {
  uint64_t changed = 0;
  uint64_t overflowed = 0;  // to infinity; among those that changed
};

// Each number rounded once, to nearest. `bytes` holds values.size() elements.
void to_floats(const ElementType& type, std::span<const std::byte> bytes, std::span<float> values,
               Rounding& rounding);

// "x.npy holds float64, and 3 of its 10 numbers were rounded to float32."; nothing where none changed.
std::optional<std::string> rounding_note(const std::string& name, const std::string& type, uint64_t count,
                                         const Rounding& rounding);

}  // namespace convsmith::cli
