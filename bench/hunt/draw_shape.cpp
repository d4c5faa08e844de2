#include "bench/hunt/draw_shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "bench/peers/limits.hpp"
#include "cli/verify/random_layer.hpp"
#include "frontend/keras/make_problem.hpp"

namespace convsmith::bench {
namespace {

constexpr int64_t kMostUnits = 4096;
constexpr int64_t kMostSteps = 1'000'000;

// From 1 to `most`, each power of two as likely as the others; often a round one, as people choose.
int64_t draw_size(cli::Random& random, int64_t most) {
  const double unit = static_cast<double>(random.between(0, 1 << 20)) / (1 << 20);
  const auto size = static_cast<int64_t>(std::exp2(unit * std::log2(static_cast<double>(most) + 0.999)));
  if (!random.one_in(2)) return std::clamp<int64_t>(size, 1, most);
  const auto power = int64_t{1} << static_cast<int>(std::log2(static_cast<double>(size)));
  return std::min(random.one_in(3) ? power + power / 2 : power, most);
}

void draw_groups(cli::Random& random, LayerSpec& spec, int64_t& channels) {
  spec.groups = std::max<int64_t>(draw_size(random, kMostUnits), 2);
  const int64_t most = kMostUnits / spec.groups;
  channels = spec.groups * draw_size(random, most);
  spec.filters = spec.groups * draw_size(random, most);
}

LayerSpec draw_spec(cli::Random& random) {
  LayerSpec spec;
  int64_t channels = draw_size(random, kMostUnits);
  spec.filters = draw_size(random, kMostUnits);
  const int64_t form = random.between(0, 9);
  if (form == 0) {  // Dense
    spec.kernel_size = 1;
  } else {
    spec.kernel_size = draw_size(random, random.one_in(4) ? kMostUnits : 41);
    if (random.one_in(3)) spec.strides = draw_size(random, 16);
    if (random.one_in(3)) spec.dilation_rate = draw_size(random, 64);
  }
  if (form == 1 || form == 2) {  // depthwise
    spec.groups = channels;
    spec.filters = random.one_in(4) ? channels * draw_size(random, kMostUnits / channels) : channels;
  } else if (form == 3 || form == 4) {
    draw_groups(random, spec, channels);
  } else if (form == 5 || form == 6) {
    spec.kind = LayerKind::kConv1DTranspose;
    spec.dilation_rate = 1;
  }
  spec.input_shape = {std::nullopt, channels};
  if (!random.one_in(3)) spec.padding = Padding::kSame;
  return spec;
}

// Whether the layer is legal, has an output, and may be hunted.
bool is_wanted(const Shape1d& shape) {
  const auto problem = make_problem(shape.spec, Rules::kAny);
  if (!problem || problem->output_steps(shape.steps) < 1) return false;
  const auto work = work_of(shape);
  return work && work->operations <= 2 * kMostMultiplyAdds && work->bytes <= kMostBytes;
}

}  // namespace

Shape1d draw_shape(uint64_t seed, int64_t index) {
  cli::Random random(cli::derive_seed(seed, static_cast<uint64_t>(index)));
  for (;;) {
    Shape1d shape;
    shape.name = fmt::format("hunt_{}_{}", seed, index);
    shape.spec = draw_spec(random);
    shape.batch = random.one_in(2) ? 1 : draw_size(random, 16);
    const bool is_dense = shape.spec.kernel_size == 1 && shape.spec.groups == 1;
    shape.steps = is_dense && random.one_in(2) ? 1 : draw_size(random, kMostSteps);
    if (is_wanted(shape)) return shape;
  }
}

std::string csv_row(const Shape1d& shape) {
  const LayerSpec& spec = shape.spec;
  return fmt::format("{},{},{},{},{},{},{},{},{},{},{}", shape.name,
                     spec.kind == LayerKind::kConv1DTranspose ? "conv1d_transpose" : "conv1d", shape.batch,
                     shape.steps, spec.input_shape.back().value_or(0), spec.filters, spec.kernel_size,
                     spec.strides, spec.dilation_rate, spec.groups,
                     spec.padding == Padding::kSame ? "same" : "valid");
}

Shape1d shrink(const Shape1d& shape, const std::function<bool(const Shape1d&)>& is_slow, int tries) {
  using Halve = void (*)(Shape1d&);
  constexpr std::array<Halve, 8> kHalves = {
      [](Shape1d& s) { s.batch = 1; },
      [](Shape1d& s) { s.spec.strides = 1; },
      [](Shape1d& s) { s.spec.dilation_rate = 1; },
      [](Shape1d& s) { s.steps = (s.steps + 1) / 2; },
      [](Shape1d& s) { s.spec.kernel_size = (s.spec.kernel_size + 1) / 2; },
      [](Shape1d& s) {  // groups with their channels and filters
        const int64_t fewer = (s.spec.groups + 1) / 2;
        s.spec.input_shape.back() = s.spec.input_shape.back().value_or(1) / s.spec.groups * fewer;
        s.spec.filters = s.spec.filters / s.spec.groups * fewer;
        s.spec.groups = fewer;
      },
      [](Shape1d& s) {
        const int64_t wide = s.spec.input_shape.back().value_or(1) / s.spec.groups;
        s.spec.input_shape.back() = s.spec.groups * ((wide + 1) / 2);
      },
      [](Shape1d& s) { s.spec.filters = s.spec.groups * ((s.spec.filters / s.spec.groups + 1) / 2); }};
  Shape1d smallest = shape;
  for (bool is_smaller = true; is_smaller && tries > 0;) {
    is_smaller = false;
    for (const Halve& halve : kHalves) {
      Shape1d next = smallest;
      halve(next);
      if (csv_row(next) == csv_row(smallest) || !is_wanted(next) || tries-- <= 0 || !is_slow(next)) continue;
      smallest = std::move(next);
      is_smaller = true;
    }
  }
  return smallest;
}

}  // namespace convsmith::bench
