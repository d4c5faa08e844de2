#include <memory>

#include "bench/peers/peers.hpp"
#include "bench/peers/table.hpp"
#include "convsmith/convsmith.hpp"

namespace convsmith::bench {
namespace {

Result<Call> make_call(const Case& c, Layout layout, Backend backend, Isa isa) {
  LayerSpec spec = c.spec;
  if (layout == Layout::kChannelsFirst) {
    spec.data_format = DataFormat::kChannelsFirst;
    spec.input_shape = {c.problem.channels, std::nullopt};
  }
  // An engine of its own: nothing comes from a cache.
  Engine engine;
  const auto layer = engine.compile(spec, {.backend = backend, .isa = isa, .rules = Rules::kAny});
  if (!layer) return tl::unexpected(layer.error());
  const auto weights = layer->pack(c.kernel, c.bias);
  if (!weights) return tl::unexpected(weights.error());
  const float* const input = layout == Layout::kChannelsLast ? c.input : c.input_first;
  return [layer = *layer, weights = *weights, input, output = c.output, batch = c.batch,
          steps = c.steps]() -> Result<void> {
    const RunStatus status = layer.run(weights, input, output, batch, steps);
    if (status == RunStatus::kOk) return {};
    return make_error(ErrorCode::kUnavailable, describe(status));
  };
}

}  // namespace

std::vector<Way> own_ways(Backend backend, Isa isa) {
  std::vector<Way> ways;
  for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst})
    ways.push_back(
        {kOurs, kOurs, "", layout, [=](const Case& c) { return make_call(c, layout, backend, isa); }});
  return ways;
}

}  // namespace convsmith::bench
