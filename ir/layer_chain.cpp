#include "ir/layer_chain.hpp"

#include <algorithm>

#include "frontend/activations.hpp"
#include "frontend/make_problem.hpp"

namespace convsmith::ir {
namespace {

void set_transposed(const LayerSpec& spec, Problem& p) {
  p.transposed = true;
  p.pad_same = false;
  p.pad_left = p.pad_right = 0;
  const int64_t span = p.span();
  const int64_t extra = spec.output_padding.value_or(0);
  if (spec.padding == Padding::kExplicit) {
    p.pad_left = spec.pad_left;
    p.pad_right = spec.pad_right;
  } else if (spec.padding == Padding::kSame) {
    const int64_t total = spec.output_padding ? 2 * (span / 2) - extra : span - p.stride;
    p.pad_left = std::max<int64_t>(total, 0) / 2;
    p.pad_right = total - p.pad_left;
  } else {
    p.pad_right = spec.output_padding ? -extra : std::min<int64_t>(span - p.stride, 0);
  }
}

}  // namespace

Result<LayerProblem> make_layer_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules) {
  LayerSpec plain = spec;
  plain.kind = LayerKind::kConv1D;
  plain.activation = {};
  Shape shape = input_shape;
  const bool is_depthwise =
      spec.kind == LayerKind::kDepthwiseConv1D || spec.kind == LayerKind::kSeparableConv1D;
  if (spec.kind == LayerKind::kDense) {
    plain.kernel_size = 1;
    shape = {std::nullopt, std::nullopt, input_shape.back()};
  }
  const size_t channel_axis = spec.data_format == DataFormat::kChannelsLast ? 2 : 1;
  const int64_t channels = shape[channel_axis].value_or(0);
  if (is_depthwise && channels > 0) {
    plain.groups = channels;
    plain.filters = channels * spec.depth_multiplier;
  }
  if (spec.kind == LayerKind::kConv1DTranspose) plain.padding = Padding::kSame;  // never empty
  Result<Problem> problem = make_problem(plain, shape, rules);
  if (!problem) return tl::unexpected(problem.error());
  if (spec.kind == LayerKind::kConv1DTranspose) set_transposed(spec, *problem);
  LayerProblem out{.chain = {*problem}, .row = {}};
  if (spec.kind == LayerKind::kSeparableConv1D) {
    out.chain[0].has_bias = false;
    Problem pointwise;
    pointwise.channels = problem->filters;
    pointwise.filters = spec.filters;
    pointwise.layout = problem->layout;
    pointwise.has_bias = spec.use_bias;
    out.chain.push_back(pointwise);
  }
  if (is_elementwise(spec.activation.kind)) {
    out.chain.back().activation = canonical_activation(spec.activation);
  } else {
    out.row = spec.activation;
  }
  return out;
}

}  // namespace convsmith::ir
