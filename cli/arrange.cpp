#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cli/run.hpp"

namespace convsmith::cli {
namespace {

Tensor transpose(const Tensor& tensor) {
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const auto columns = static_cast<size_t>(tensor.shape[1]);
  Tensor result{{tensor.shape[1], tensor.shape[0]}, std::vector<float>(tensor.data.size())};
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      result.data[column * rows + row] = tensor.data[row * columns + column];
    }
  }
  return result;
}

// The shape without leading axes of 1, down to two axes.
std::vector<int64_t> core_shape(const std::vector<int64_t>& shape) {
  auto begin = shape.begin();
  while (shape.end() - begin > 2 && *begin == 1) ++begin;
  return {begin, shape.end()};
}

}  // namespace

Result<LayerInput> arrange_input(Tensor tensor, FileFormat format, Layout layout, const std::string& path) {
  const size_t rank = tensor.shape.size();
  const bool channels_last = layout == Layout::kChannelsLast;
  if (rank < 2) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("--input {}: its shape is {}; it must be (batch, {}), or {} for one sample.", path,
                    shape_text(tensor.shape), channels_last ? "steps, channels" : "channels, steps",
                    channels_last ? "(steps, channels)" : "(channels, steps)"));
  }
  if (format != FileFormat::kNpy && !channels_last) tensor = transpose(tensor);
  LayerInput input{.tensor = std::move(tensor), .single = rank == 2};
  std::vector<int64_t>& shape = input.tensor.shape;
  if (input.single) shape.insert(shape.begin(), 1);
  input.steps = shape[shape.size() - (channels_last ? 2 : 1)];
  for (size_t axis = 0; axis + 2 < shape.size(); ++axis) {
    // An empty array may have other axes of any size.
    const bool fits = shape[axis] == 0 || input.batch <= std::numeric_limits<int64_t>::max() / shape[axis];
    if (!fits) {
      return make_error(ErrorCode::kInvalidData, fmt::format("--input {}: its shape {} has too many samples.",
                                                             path, shape_text(shape)));
    }
    input.batch *= shape[axis];
  }
  return input;
}

Result<Tensor> arrange_output(const Tensor& tensor, FileFormat format, Layout layout,
                              const std::string& path) {
  if (format == FileFormat::kNpy) return tensor;
  Tensor rows{core_shape(tensor.shape), tensor.data};
  if (rows.shape.size() != 2) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("--output {}: a {} file holds one sample, and the output is {}; choose .npy.", path,
                    suffix_of(path), shape_text(tensor.shape)));
  }
  return layout == Layout::kChannelsLast ? rows : transpose(rows);
}

Difference compare_tensors(const Tensor& found, const Tensor& expected) {
  Difference difference;
  difference.same_shape = core_shape(found.shape) == core_shape(expected.shape);
  if (!difference.same_shape) return difference;
  const size_t bytes = found.data.size() * sizeof(float);
  difference.bit_equal = bytes == 0 || std::memcmp(found.data.data(), expected.data.data(), bytes) == 0;
  double scale = 0;
  for (size_t i = 0; i < found.data.size(); ++i) {
    const double a = found.data[i];
    const double b = expected.data[i];
    if (std::isfinite(b)) scale = std::max(scale, std::abs(b));
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double distance = std::abs(a - b);
    difference.largest = std::max(difference.largest, std::isnan(distance) ? HUGE_VAL : distance);
  }
  if (difference.largest > 0) difference.relative = scale > 0 ? difference.largest / scale : HUGE_VAL;
  return difference;
}

}  // namespace convsmith::cli
