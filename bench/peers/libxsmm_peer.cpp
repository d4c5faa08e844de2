// libxsmm has matrix products and no 1-D convolution: here is the loop that its users would write. Products
// over all taps of a reduction (BRGEMM) for blocks of output steps and filters that see the same taps.
#include <fmt/format.h>
#include <libxsmm.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/peers/limits.hpp"
#include "bench/peers/peers.hpp"

namespace convsmith::bench {
namespace {

constexpr int64_t kBlockSteps = 48;
constexpr int64_t kBlockFilters = 64;

// One convolution of dense strides: output n of `outputs` and tap u meet at input n*stride + u*dilation -
// pad. A transposed layer is one of these for each phase.
struct Phase {
  int64_t first_output = 0;  // of the layer
  int64_t output_stride = 1;
  int64_t outputs = 0;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad = 0;
  int64_t taps = 1;
  // Which of the layer's taps the first one is, and how far it is to the next.
  int64_t first_tap = 0;
  int64_t tap_stride = 1;
};

struct Product {
  libxsmm_smmfunction_reducebatch_strd kernel = nullptr;  // null where no tap is inside: only the bias
  size_t weights = 0;
  int64_t input = 0;
  int64_t output = 0;
  int64_t rows = 0;  // output steps
  int64_t row_floats = 0;
  int64_t filter = 0;
  int64_t filters = 0;
  unsigned long long taps = 0;
};

struct Plan {
  std::vector<float> weights;     // by phase and block of filters: (taps, channels, filters of the block)
  std::vector<Product> products;  // of one sample
};

// The taps of output `n` that lie inside the input: [first, second).
std::pair<int64_t, int64_t> taps_inside(const Phase& phase, int64_t n, int64_t steps) {
  const int64_t from = phase.pad - n * phase.stride;
  const int64_t begin = std::clamp<int64_t>(divide_up(from, phase.dilation), 0, phase.taps);
  const int64_t end = std::clamp<int64_t>(divide_up(from + steps, phase.dilation), begin, phase.taps);
  return {begin, end};
}

std::vector<Phase> phases_of(const Case& c) {
  const Problem& p = c.problem;
  if (!p.transposed) return {{0, 1, c.out_steps, p.stride, p.dilation, c.pad_left, p.taps, 0, 1}};
  std::vector<Phase> phases;
  for (int64_t r = 0; r < p.stride; ++r) {
    // Output o and tap t meet at input (o + pad_left - t) / stride; t = r + j * stride. Taps go backwards.
    Phase phase;
    phase.first_output = ((r - c.pad_left) % p.stride + p.stride) % p.stride;
    phase.output_stride = p.stride;
    phase.outputs = std::max<int64_t>(divide_up(c.out_steps - phase.first_output, p.stride), 0);
    phase.taps = r < p.taps ? (p.taps - 1 - r) / p.stride + 1 : 0;
    phase.pad = phase.taps - 1 - (phase.first_output + c.pad_left - r) / p.stride;
    phase.first_tap = r + (phase.taps - 1) * p.stride;
    phase.tap_stride = -p.stride;
    phases.push_back(phase);
  }
  return phases;
}

// Keras keeps (taps, channels, filters), of transposed layers (taps, filters, channels).
void pack_block(const Case& c, const Phase& phase, int64_t filter, int64_t filters,
                std::vector<float>& weights) {
  const Problem& p = c.problem;
  for (int64_t u = 0; u < phase.taps; ++u) {
    const int64_t tap = phase.first_tap + u * phase.tap_stride;
    for (int64_t i = 0; i < p.channels; ++i)
      for (int64_t f = filter; f < filter + filters; ++f)
        weights.push_back(c.kernel[static_cast<size_t>(
            p.transposed ? (tap * p.filters + f) * p.channels + i : (tap * p.channels + i) * p.filters + f)]);
  }
}

// In libxsmm's words, where matrices go by columns: C (filters x steps) += A (filters x channels) B (channels
// x steps), summed over taps.
libxsmm_smmfunction_reducebatch_strd dispatch(const Problem& p, const Phase& phase, int64_t filters,
                                              int64_t rows) {
  const auto i = [](int64_t value) { return static_cast<libxsmm_blasint>(value); };
  const libxsmm_blasint lda = i(filters);
  const libxsmm_blasint ldb = i(phase.stride * p.channels);
  const libxsmm_blasint ldc = i(phase.output_stride * p.filters);
  const float one = 1;
  return libxsmm_smmdispatch_reducebatch_strd(i(filters), i(rows), i(p.channels), i(4 * p.channels * filters),
                                              i(4 * phase.dilation * p.channels), &lda, &ldb, &ldc, &one,
                                              &one, nullptr, nullptr);
}

Result<void> add_block(const Case& c, const Phase& phase, int64_t filter, int64_t filters, Plan& plan) {
  const Problem& p = c.problem;
  const size_t weights = plan.weights.size();
  pack_block(c, phase, filter, filters, plan.weights);
  int64_t rows = 0;
  for (int64_t n = 0; n < phase.outputs; n += rows) {
    const auto taps = taps_inside(phase, n, c.steps);
    rows = 1;
    while (n + rows < phase.outputs && rows < kBlockSteps && taps_inside(phase, n + rows, c.steps) == taps)
      ++rows;
    Product product;
    product.taps = static_cast<unsigned long long>(taps.second - taps.first);
    product.weights = weights + static_cast<size_t>(taps.first * p.channels * filters);
    product.input = (n * phase.stride + taps.first * phase.dilation - phase.pad) * p.channels;
    product.output = (phase.first_output + n * phase.output_stride) * p.filters + filter;
    product.rows = rows;
    product.row_floats = phase.output_stride * p.filters;
    product.filter = filter;
    product.filters = filters;
    if (product.taps > 0) product.kernel = dispatch(p, phase, filters, rows);
    if (product.taps > 0 && product.kernel == nullptr)
      return make_error(
          ErrorCode::kUnsupported,
          fmt::format("no kernel for {} filters, {} steps, {} channels", filters, rows, p.channels));
    plan.products.push_back(product);
  }
  return {};
}

Result<void> add_phase(const Case& c, const Phase& phase, Plan& plan) {
  const int64_t all = c.problem.filters;
  for (int64_t filter = 0; filter < all; filter += kBlockFilters) {
    const auto done = add_block(c, phase, filter, std::min(kBlockFilters, all - filter), plan);
    if (!done) return done;
  }
  return {};
}

void run(const Plan& plan, const Case& c) {
  for (int64_t b = 0; b < c.batch; ++b) {
    const float* const input = c.input + b * c.steps * c.problem.channels;
    float* const output = c.output + b * c.out_steps * c.problem.filters;
    for (const Product& product : plan.products) {
      float* const out = output + product.output;
      const size_t bytes = sizeof(float) * static_cast<size_t>(product.filters);
      for (int64_t row = 0; row < product.rows; ++row)
        std::memcpy(out + row * product.row_floats, c.bias.data() + product.filter, bytes);
      if (product.kernel != nullptr)
        product.kernel(plan.weights.data() + product.weights, input + product.input, out, &product.taps);
    }
  }
}

// Turn a stride s that divides the taps, without padding and dilation
// into a stride of 1 over rows of s steps: fewer, longer sums.
Case folded(Case c) {
  Problem& p = c.problem;
  const bool is_plain =
      !p.transposed && p.dilation == 1 && c.pad_left == 0 && c.pad_right == 0 && c.batch == 1;
  if (!is_plain || p.stride == 1 || p.taps % p.stride != 0) return c;
  c.steps /= p.stride;
  p.taps /= p.stride;
  p.channels *= p.stride;
  p.stride = 1;
  return c;
}

Result<Call> make_call(const Case& original) {
  if (original.problem.groups > 1) return make_error(ErrorCode::kUnsupported, "no products of groups");
  const Case c = folded(original);
  if (c.problem.transposed && c.problem.dilation > 1)
    return make_error(ErrorCode::kUnsupported, "no loop for dilated transposed layers");
  const auto plan = std::make_shared<Plan>();
  for (const Phase& phase : phases_of(c))
    if (const auto done = add_phase(c, phase, *plan); !done) return tl::unexpected(done.error());
  return [plan, c]() -> Result<void> {
    run(*plan, c);
    return {};
  };
}

}  // namespace

std::vector<Way> libxsmm_ways(Isa isa) {
  libxsmm_init();
  if (isa == Isa::kAvx2) libxsmm_set_target_arch("hsw");
  return {{"libxsmm", "libxsmm", "libxsmm " LIBXSMM_VERSION, Layout::kChannelsLast, make_call}};
}

}  // namespace convsmith::bench
