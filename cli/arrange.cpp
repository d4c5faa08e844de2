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

// The product of all axes before the last `rest` ones.
Result<void> count_batch(LayerInput& input, size_t rest, const std::string& path) {
  const std::vector<int64_t>& shape = input.tensor.shape;
  for (size_t axis = 0; axis + rest < shape.size(); ++axis) {
    // An empty array may have other axes of any size.
    const bool fits = shape[axis] == 0 || input.batch <= std::numeric_limits<int64_t>::max() / shape[axis];
    if (!fits) {
      return make_error(ErrorCode::kInvalidData, fmt::format("--input {}: its shape {} has too many samples.",
                                                             path, shape_text(shape)));
    }
    input.batch *= shape[axis];
  }
  return {};
}

// "(batch, None, 1)"
std::string wanted_text(const Shape& sample) {
  std::string text = "(batch";
  for (const std::optional<int64_t>& axis : sample) text += axis ? fmt::format(", {}", *axis) : ", steps";
  return text + ")";
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
  if (Result<void> done = count_batch(input, 2, path); !done) return tl::unexpected(done.error());
  return input;
}

Result<LayerInput> arrange_features(Tensor tensor, const std::string& path) {
  if (tensor.shape.size() < 2) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("--input {}: its shape is {}; it must be (batch, features).", path,
                                  shape_text(tensor.shape)));
  }
  LayerInput input{.tensor = std::move(tensor), .single = false, .batch = 1, .steps = 1};
  if (Result<void> done = count_batch(input, 1, path); !done) return tl::unexpected(done.error());
  return input;
}

bool is_channels_first(const Shape& sample) {
  return sample.size() == 2 && sample[0].has_value() && !sample[1].has_value();
}

Result<LayerInput> arrange_sample(Tensor tensor, FileFormat format, const Shape& sample,
                                  std::optional<int64_t> fixed_steps, const std::string& path) {
  const std::string found = shape_text(tensor.shape);
  const auto refuse = [&] {
    std::string wanted = wanted_text(sample);
    if (fixed_steps && std::find(sample.begin(), sample.end(), std::nullopt) != sample.end())
      wanted += fmt::format(" with exactly {} steps", *fixed_steps);
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("--input {}: its shape is {}; the model takes {}{}.", path, found, wanted,
                    format == FileFormat::kNpy ? ", or one sample without the batch axis" : ""));
  };
  const bool is_table = format != FileFormat::kNpy;
  if (is_table && sample.size() > 2) return refuse();
  if (is_table && is_channels_first(sample)) tensor = transpose(tensor);
  // A column of numbers is one sample of that many features.
  if (is_table && sample.size() == 1 && tensor.shape[1] == 1 && sample[0] == tensor.shape[0])
    tensor = transpose(tensor);
  LayerInput input{.tensor = std::move(tensor), .single = false, .batch = 1, .steps = 1};
  std::vector<int64_t>& shape = input.tensor.shape;
  input.single = shape.size() == sample.size();
  if (input.single) shape.insert(shape.begin(), 1);
  if (shape.size() != sample.size() + 1) return refuse();
  input.batch = shape[0];
  for (size_t i = 0; i < sample.size(); ++i) {
    if (sample[i] && *sample[i] != shape[i + 1]) return refuse();
    if (!sample[i]) input.steps = shape[i + 1];
    if (!sample[i] && fixed_steps && *fixed_steps != shape[i + 1]) return refuse();
  }
  if (fixed_steps) input.steps = *fixed_steps;
  return input;
}

Result<std::vector<int64_t>> arrange_output_shape(const std::vector<int64_t>& shape, FileFormat format,
                                                  Layout layout, const std::string& what) {
  if (format == FileFormat::kNpy) return shape;
  std::vector<int64_t> rows = core_shape(shape);
  if (rows.size() != 2) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{}: a {} file holds one sample, and the output is {}; choose .npy.", what,
                                  format == FileFormat::kCsv ? ".csv" : ".wav", shape_text(shape)));
  }
  if (layout != Layout::kChannelsLast) std::swap(rows[0], rows[1]);
  return rows;
}

Result<Tensor> arrange_output(const Tensor& tensor, FileFormat format, Layout layout,
                              const std::string& what) {
  if (format == FileFormat::kNpy) return tensor;
  const auto shape = arrange_output_shape(tensor.shape, format, layout, what);
  if (!shape) return tl::unexpected(shape.error());
  if (layout == Layout::kChannelsLast) return Tensor{*shape, tensor.data};
  return transpose({{(*shape)[1], (*shape)[0]}, tensor.data});
}

bool is_same_shape(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  return core_shape(a) == core_shape(b);
}

Difference compare_tensors(const Tensor& found, const Tensor& expected) {
  Difference difference;
  difference.same_shape = is_same_shape(found.shape, expected.shape);
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

double signal_to_noise(const Tensor& signal, const Tensor& clean) {
  double power = 0;
  double noise = 0;
  for (size_t i = 0; i < clean.data.size(); ++i) {
    const double wanted = clean.data[i];
    const double difference = signal.data[i] - wanted;
    power += wanted * wanted;
    noise += difference * difference;
  }
  return 10.0 * std::log10(power / noise);
}

}  // namespace convsmith::cli
