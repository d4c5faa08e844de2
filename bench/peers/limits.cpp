#include "bench/peers/limits.hpp"

#include <unistd.h>

#include <algorithm>

#include "cli/verify/random_layer.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/build_graph.hpp"

namespace convsmith::bench {
namespace {

// How many pairs of a step i below `count` and a tap have i*stride + tap*dilation - left within [0, size).
double pairs_inside(const Problem& p, int64_t count, int64_t size, int64_t left) {
  double pairs = 0;
  for (int64_t tap = 0; tap < p.taps; ++tap) {
    const int64_t shift = tap * p.dilation - left;
    const int64_t begin = std::max<int64_t>(divide_up(-shift, p.stride), 0);
    const int64_t end = std::min(divide_up(size - shift, p.stride), count);
    pairs += static_cast<double>(std::max<int64_t>(end - begin, 0));
  }
  return pairs;
}

double cache_bytes(int name, double otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<double>(bytes) : otherwise;
}

}  // namespace

int64_t divide_up(int64_t a, int64_t b) {
  return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

Result<Work> work_of(const Shape1d& shape) {
  const auto problem = make_problem(shape.spec, Rules::kAny);
  if (!problem) return tl::unexpected(problem.error());
  const Problem& p = *problem;
  const auto graph = ir::build_graph(shape.spec, p.channels, Rules::kAny);
  if (!graph) return tl::unexpected(graph.error());
  const int64_t out_steps = p.output_steps(shape.steps);
  const int64_t left = p.left_padding(shape.steps);
  const double pairs = p.transposed ? pairs_inside(p, shape.steps, out_steps, left)
                                    : pairs_inside(p, out_steps, shape.steps, left);
  const auto batch = static_cast<double>(shape.batch);
  const auto product = static_cast<double>(p.group_channels() * p.filters);
  const int64_t floats = shape.batch * (shape.steps * p.channels + out_steps * p.filters) +
                         p.taps * p.group_channels() * p.filters + (p.has_bias ? p.filters : 0);
  return Work{2 * ir::multiply_adds(*graph, shape.batch, {&shape.steps, 1}), 2 * batch * pairs * product,
              4 * static_cast<double>(floats)};
}

Caches system_caches() {
  constexpr double kKiB = 1024;
  constexpr double kMost = 32 * kKiB * kKiB;
  return {cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 48 * kKiB), cache_bytes(_SC_LEVEL2_CACHE_SIZE, 2 * kKiB * kKiB),
          std::min(cache_bytes(_SC_LEVEL3_CACHE_SIZE, kMost), kMost)};
}

Level level_of(double bytes, const Caches& caches) {
  if (bytes <= caches.l1) return Level::kL1;
  if (bytes <= caches.l2) return Level::kL2;
  return bytes <= caches.l3 ? Level::kL3 : Level::kMemory;
}

double shortest_us(double operations_inside, double bytes, double peak_gflops, double bandwidth_gbs) {
  const double arithmetic = peak_gflops > 0 ? operations_inside / peak_gflops * 1e-3 : 0;
  const double traffic = bandwidth_gbs > 0 ? bytes / bandwidth_gbs * 1e-3 : 0;
  return std::max(arithmetic, traffic);
}

}  // namespace convsmith::bench
