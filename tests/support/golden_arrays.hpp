// The arrays that belong to golden cases: little-endian values, back to back.
#pragma once

#include <cstddef>
#include <fstream>
#include <iterator>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/frontend/golden.hpp"
#include "tests/support/places.hpp"

namespace convsmith::golden {

template <class T>
class Arrays {
 public:
  explicit Arrays(const std::string& name) {
    std::ifstream file(places::test_data(name), std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error("no golden data " + name);
    values_.resize(static_cast<size_t>(file.tellg()) / sizeof(T));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(values_.data()),
              static_cast<std::streamsize>(values_.size() * sizeof(T)));
  }

  // `tensor` is {"offset": .., "shape": [..]}.
  std::span<const T> get(const Json& tensor) const {
    size_t count = 1;
    for (const Json& axis : tensor["shape"]) count *= axis.get<size_t>();
    return std::span(values_).subspan(count == 0 ? 0 : tensor["offset"].get<size_t>(), count);
  }

  std::span<const T> all() const { return values_; }

 private:
  std::vector<T> values_;
};

}  // namespace convsmith::golden
