#include <cstring>

#include "runtime/run_kernel.hpp"

namespace convsmith {

// Rows (tap, channel) outside, filters inside, as both sides keep them: one run of filters a row and block.
std::shared_ptr<const PackedData> pack_weights(std::shared_ptr<const CompiledKernel> compiled,
                                               std::span<const float> kernel, std::span<const float> bias) {
  constexpr size_t kLine = 64;
  auto packed = std::make_shared<PackedData>();
  const ir::PackLayout& l = compiled->weights;
  packed->storage.assign(static_cast<size_t>(l.floats()) + kLine / 4, 0.0F);
  auto address = reinterpret_cast<uintptr_t>(packed->storage.data());
  float* data = packed->storage.data() + ((kLine - address % kLine) % kLine) / 4;
  const int64_t filters = compiled->problem.filters;
  const int64_t bias_rows = l.has_bias ? 1 : 0;
  for (int64_t g = 0; g < l.outer; ++g) {
    for (int64_t begin = 0; begin < l.units; begin += l.block) {
      const auto bytes = static_cast<size_t>(std::min(l.block, l.units - begin)) * sizeof(float);
      const int64_t filter = g * l.units + begin;
      float* block = data + l.unit_index(g, begin);
      const int64_t width = l.unit_width(begin);
      if (l.has_bias) std::memcpy(block, &bias[static_cast<size_t>(filter)], bytes);
      for (int64_t r = 0; r < l.rows; ++r) {
        std::memcpy(block + (r + bias_rows) * width, &kernel[static_cast<size_t>(r * filters + filter)],
                    bytes);
      }
    }
  }
  packed->data = data;
  packed->layout = l;
  packed->kernel = std::move(compiled);
  return packed;
}

}  // namespace convsmith
