#include "cli/io/npy_types.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace convsmith::cli {
namespace {

// What has no float32 of its own, by the letter of its kind.
struct Refused {
  char kind;
  const char* what;
};
constexpr Refused kRefused[] = {
    {'c', "complex numbers; save array.real, array.imag or abs(array)"},
    {'O', "Python objects; save array.astype('<f4')"},
    {'S', "text; save array.astype('<f4')"},
    {'U', "text; save array.astype('<f4')"},
    {'a', "text; save array.astype('<f4')"},
    {'M', "points in time; save the numbers alone"},
    {'m', "spans of time; save array / np.timedelta64(1, 's')"},
    {'V', "raw bytes, as bfloat16 is saved, too; save array.astype('<f4')"},
};

bool is_size_of(char kind, size_t bytes) {
  switch (kind) {
    case 'f':
      return bytes == 2 || bytes == 4 || bytes == 8;
    case 'g':
      return bytes == 16;
    case 'b':
      return bytes == 1;
    default:
      return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
  }
}

// IEEE half precision; every one is a float32 number.
float from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const int fraction = bits & 0x3ff;
  float magnitude = 0;
  if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else if (exponent == 0x1f) {
    magnitude = fraction == 0 ? std::numeric_limits<float>::infinity() : std::nanf("");
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction | 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

template <class Stored>
Stored load(const std::byte* from, bool swapped) {
  std::array<std::byte, sizeof(Stored)> bytes{};
  std::memcpy(bytes.data(), from, sizeof(Stored));
  if (swapped) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<Stored>(bytes);
}

// `read` turns what is stored into a number of type Number that holds it exactly.
template <class Stored, class Read>
void convert(const ElementType& type, std::span<const std::byte> bytes, std::span<float> values,
             Rounding& rounding, const Read& read) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto number = read(load<Stored>(&bytes[i * sizeof(Stored)], type.swapped));
    const auto value = static_cast<float>(number);
    values[i] = value;
    // A long double holds every number of 64 bits.
    const auto exact = static_cast<long double>(number);
    if (static_cast<long double>(value) == exact || std::isnan(value)) continue;
    ++rounding.changed;
    if (std::isinf(value)) ++rounding.overflowed;
  }
}

constexpr auto kSame = [](auto number) { return number; };

}  // namespace

tl::expected<ElementType, std::string> parse_element_type(const Value& descr) {
  const auto refuse = [&](const std::string& what) {
    return tl::unexpected(fmt::format("its dtype is {}: {}", describe(descr), what));
  };
  if (descr.kind == Value::Kind::kList)
    return refuse("records with several fields; save one of them, as array['NAME']");
  const std::string& text = descr.text;
  constexpr const char* kLegal =
      "it must be a float, an integer or bool, such as '<f4', which array.astype('<f4') makes";
  if (descr.kind != Value::Kind::kString || text.empty()) return refuse(kLegal);
  const bool has_order = std::string_view("<>|=").find(text[0]) != std::string_view::npos;
  const std::string rest = text.substr(has_order ? 1 : 0);
  for (const Refused& refused : kRefused)
    if (rest.starts_with(refused.kind)) return refuse(refused.what);
  ElementType type;
  type.kind = rest.empty() ? '?' : rest[0];
  type.bytes = 0;
  for (const size_t bytes : {1, 2, 4, 8, 16})
    if (rest.substr(std::min<size_t>(rest.size(), 1)) == std::to_string(bytes)) type.bytes = bytes;
  type.swapped = text[0] == '>' && type.bytes > 1;
  const bool is_known = std::string_view("fiub").find(type.kind) != std::string_view::npos;
  const bool is_x86_long_double = sizeof(long double) == 16 && std::numeric_limits<long double>::digits == 64;
  if (rest == "f16" && is_x86_long_double) type.kind = 'g';
  if (!is_known || !is_size_of(type.kind, type.bytes)) return refuse(kLegal);
  return type;
}

std::string type_name(const ElementType& type) {
  switch (type.kind) {
    case 'b':
      return "bool";
    case 'g':
      return "float128";
    default:
      return fmt::format("{}{}",
                         type.kind == 'f'   ? "float"
                         : type.kind == 'i' ? "int"
                                            : "uint",
                         8 * type.bytes);
  }
}

void to_floats(const ElementType& type, std::span<const std::byte> bytes, std::span<float> values,
               Rounding& rounding) {
  const auto as = [&]<class Stored>(Stored, const auto& read) {
    convert<Stored>(type, bytes, values, rounding, read);
  };
  if (type.kind == 'g') return as(0.0L, kSame);
  if (type.kind == 'b') return as(uint8_t{}, [](uint8_t byte) { return byte != 0 ? 1.0F : 0.0F; });
  if (type.kind == 'f') {
    if (type.bytes == 2) return as(uint16_t{}, from_half);
    return type.bytes == 4 ? as(0.0F, kSame) : as(0.0, kSame);
  }
  const bool is_signed = type.kind == 'i';
  if (type.bytes == 1) return is_signed ? as(int8_t{}, kSame) : as(uint8_t{}, kSame);
  if (type.bytes == 2) return is_signed ? as(int16_t{}, kSame) : as(uint16_t{}, kSame);
  if (type.bytes == 4) return is_signed ? as(int32_t{}, kSame) : as(uint32_t{}, kSame);
  return is_signed ? as(int64_t{}, kSame) : as(uint64_t{}, kSame);
}

std::optional<std::string> rounding_note(const std::string& name, const std::string& type, uint64_t count,
                                         const Rounding& rounding) {
  if (rounding.changed == 0) return std::nullopt;
  const std::string infinite =
      rounding.overflowed == 0 ? "" : fmt::format(", {} of them to infinity", rounding.overflowed);
  return fmt::format("{} holds {}, and {} of its {} numbers {} rounded to float32{}.", name, type,
                     rounding.changed, count, rounding.changed == 1 ? "was" : "were", infinite);
}

}  // namespace convsmith::cli
