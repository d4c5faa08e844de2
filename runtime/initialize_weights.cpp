#include "runtime/initialize_weights.hpp"

#include <fmt/format.h>

#include <cmath>
#include <random>

namespace convsmith {

namespace {

// Uniform in [-limit, limit): the standard's distributions differ between libraries, its generators do not.
void draw_uniform(std::mt19937_64& generator, double limit, std::vector<float>& out) {
  for (float& x : out) {
    const double unit = static_cast<double>(generator() >> 11) * 0x1p-53;
    x = static_cast<float>((2.0 * unit - 1.0) * limit);
  }
}

Result<void> draw(const Initializer& initializer, std::string_view argument, double limit,
                  std::mt19937_64& generator, std::vector<float>& out) {
  if (initializer.class_name == "Zeros") return {};
  if (initializer.class_name == "GlorotUniform") {
    draw_uniform(generator, limit, out);
    return {};
  }
  return make_error(
      ErrorCode::kUnsupported,
      fmt::format(
          "{} is '{}'; drawing weights is supported for GlorotUniform and Zeros, others need weights.",
          argument, initializer.class_name));
}

}  // namespace

// Fans are Keras's: of the kernel's shape (taps, channels/groups, filters), or of the bias's (filters).
Result<Weights> initialize_weights(const LayerSpec& spec, const Problem& p, uint64_t seed) {
  std::mt19937_64 generator(seed);
  Weights weights;
  weights.kernel.resize(static_cast<size_t>(p.taps * p.group_channels() * p.filters));
  const auto fans = static_cast<double>(p.taps) * static_cast<double>(p.group_channels() + p.filters);
  auto ok =
      draw(spec.kernel_initializer, "kernel_initializer", std::sqrt(6.0 / fans), generator, weights.kernel);
  if (ok && p.has_bias) {
    weights.bias.resize(static_cast<size_t>(p.filters));
    ok = draw(spec.bias_initializer, "bias_initializer", std::sqrt(3.0 / static_cast<double>(p.filters)),
              generator, weights.bias);
  }
  if (!ok) return tl::unexpected(ok.error());
  return weights;
}

}  // namespace convsmith
