#include <fmt/format.h>
#include <xnnpack.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "bench/peers/peers.hpp"

namespace convsmith::bench {
namespace {

static_assert(kInputSlack * sizeof(float) >= XNN_EXTRA_BYTES);

struct DeleteOperator {
  void operator()(xnn_operator* op) const { xnn_delete_operator(op); }
};
using Operator = std::shared_ptr<xnn_operator>;

// (filters, taps, channels of a group) from Keras's (taps, channels, filters), which of a transposed layer is
// (taps, filters, channels).
std::vector<float> filters_first(const Case& c) {
  const auto taps = static_cast<size_t>(c.problem.taps);
  const auto channels = static_cast<size_t>(c.problem.group_channels());
  const auto filters = static_cast<size_t>(c.problem.filters);
  std::vector<float> result(c.kernel.size());
  for (size_t t = 0; t < taps; ++t)
    for (size_t i = 0; i < channels; ++i)
      for (size_t f = 0; f < filters; ++f)
        result[(f * taps + t) * channels + i] = c.problem.transposed
                                                    ? c.kernel[(t * filters + f) * channels + i]
                                                    : c.kernel[(t * channels + i) * filters + f];
  return result;
}

xnn_status create(const Case& c, const std::vector<float>& kernel, xnn_operator_t* op) {
  const Problem& p = c.problem;
  const auto u = [](int64_t value) { return static_cast<uint32_t>(value); };
  const auto z = [](int64_t value) { return static_cast<size_t>(value); };
  const float most = std::numeric_limits<float>::infinity();
  const auto make = p.transposed ? xnn_create_deconvolution2d_nhwc_f32 : xnn_create_convolution2d_nhwc_f32;
  const int64_t pad_right = std::max<int64_t>(c.pad_right, 0);
  return make(0, u(pad_right), 0, u(c.pad_left), 1, u(p.taps), 1, u(p.stride), 1, u(p.dilation), u(p.groups),
              z(p.group_channels()), z(p.group_filters()), z(p.channels), z(p.filters), kernel.data(),
              c.bias.data(), -most, most, 0, op);
}

xnn_status set_up(const Case& c, xnn_operator_t op) {
  const auto batch = static_cast<size_t>(c.batch);
  const auto steps = static_cast<size_t>(c.steps);
  if (!c.problem.transposed)
    return xnn_setup_convolution2d_nhwc_f32(op, batch, 1, steps, c.input, c.output, nullptr);
  const auto more = static_cast<uint32_t>(std::max<int64_t>(-c.pad_right, 0));
  return xnn_setup_deconvolution2d_nhwc_f32(op, batch, 1, steps, 0, more, c.input, c.output, nullptr);
}

Result<Call> make_call(const Case& c) {
  const auto refuse = [](const char* what, xnn_status status) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("{} gives status {}", what, static_cast<int>(status)));
  };
  if (const xnn_status status = xnn_initialize(nullptr); status != xnn_status_success)
    return refuse("xnn_initialize", status);
  xnn_operator_t made = nullptr;
  if (const xnn_status status = create(c, filters_first(c), &made); status != xnn_status_success)
    return refuse("creating the operator", status);
  const Operator op(made, DeleteOperator());
  if (const xnn_status status = set_up(c, made); status != xnn_status_success)
    return refuse("setting it up", status);
  return [op, refuse]() -> Result<void> {
    const xnn_status status = xnn_run_operator(op.get(), nullptr);
    return status == xnn_status_success ? Result<void>() : refuse("running it", status);
  };
}

}  // namespace

std::vector<Way> xnnpack_ways() {
  return {{"XNNPACK", "XNNPACK", "XNNPACK", Layout::kChannelsLast, make_call}};
}

}  // namespace convsmith::bench
