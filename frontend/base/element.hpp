// The types that elements of arrays and buffers may have.
#pragma once

#include <cstdint>
#include <string_view>

namespace convsmith {

enum class Element : uint8_t { kFloat32 };

constexpr int64_t bytes_of(Element element) {
  return element == Element::kFloat32 ? 4 : 0;
}
constexpr std::string_view name_of(Element element) {
  return element == Element::kFloat32 ? "f32" : "";
}

}  // namespace convsmith
