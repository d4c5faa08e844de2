#include "runtime/objects/run_layer.hpp"

#include <span>

#include "runtime/why_refused.hpp"

namespace convsmith {
namespace {

int64_t product(std::span<const int64_t> sizes) {
  int64_t out = 1;
  for (const int64_t size : sizes) out *= size;
  return out;
}

}  // namespace

Result<Tensor> LayerRunner::run(const LayerSpec& spec, const std::vector<Tensor>& weights,
                                const Tensor& input, std::vector<int64_t> output_shape, Denormals denormals) {
  const std::span<const int64_t> shape(input.shape);
  const bool is_dense = spec.kind == LayerKind::kDense;
  if (!compiled_) {
    Result<CompiledLayer> made = compile(spec, {.input_shape = Shape(shape.begin(), shape.end())});
    if (!made) return tl::unexpected(made.error());
    compiled_ = std::move(*made);
  }
  if (!packed_) {
    std::vector<std::span<const float>> arrays;
    for (const Tensor& weight : weights) arrays.emplace_back(weight.data);
    Result<PackedWeights> made = compiled_->pack(arrays);
    if (!made) return tl::unexpected(made.error());
    packed_ = std::move(*made);
  }
  // Of Dense, all axes but the last one count as batch.
  const bool channels_last = spec.data_format == DataFormat::kChannelsLast;
  const int64_t batch = product(shape.first(shape.size() - (is_dense ? 1 : 2)));
  const int64_t steps = is_dense ? 1 : shape[shape.size() - (channels_last ? 2 : 1)];
  Tensor output{std::move(output_shape), {}};
  output.data.resize(static_cast<size_t>(product(output.shape)));
  const RunStatus status =
      compiled_->run(*packed_, input.data.data(), output.data.data(), batch, steps, {.denormals = denormals});
  if (status != RunStatus::kOk) {
    return make_error(ErrorCode::kInvalidData, why_refused(*compiled_, status, steps));
  }
  return output;
}

}  // namespace convsmith
