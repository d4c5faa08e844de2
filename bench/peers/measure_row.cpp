#include "bench/peers/measure_row.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "cli/verify/placed_array.hpp"
#include "cli/verify/random_layer.hpp"
#include "frontend/keras/make_problem.hpp"

namespace convsmith::bench {
namespace {

constexpr double kTolerance = 1e-4;
constexpr int kRounds = 5;

// (batch, rows, columns) to (batch, columns, rows).
std::vector<float> transposed(const float* from, int64_t batch, int64_t rows, int64_t columns) {
  std::vector<float> to(static_cast<size_t>(batch * rows * columns));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        to[static_cast<size_t>((b * columns + c) * rows + r)] = from[(b * rows + r) * columns + c];
  return to;
}

Result<Case> make_case(const Shape1d& shape) {
  const auto problem = make_problem(shape.spec, Rules::kAny);
  if (!problem) return tl::unexpected(problem.error());
  Case c;
  c.spec = shape.spec;
  c.problem = *problem;
  c.batch = shape.batch;
  c.steps = shape.steps;
  c.out_steps = problem->output_steps(shape.steps);
  c.pad_left = problem->left_padding(shape.steps);
  const int64_t span = problem->span();
  c.pad_right = problem->transposed
                    ? (c.steps - 1) * problem->stride + span - c.pad_left - c.out_steps
                    : std::max<int64_t>((c.out_steps - 1) * problem->stride + span - c.steps - c.pad_left, 0);
  return c;
}

std::vector<float> with_slack(std::vector<float> values) {
  values.resize(values.size() + kInputSlack);
  return values;
}

// The arrays of a case, which gets their addresses.
class Arrays {
 public:
  explicit Arrays(Case& c)
      : kernel_(floats(c.problem.taps * c.problem.group_channels() * c.problem.filters, 2)),
        bias_(floats(c.problem.filters, 3)),
        input_(with_slack(floats(c.batch * c.steps * c.problem.channels, 1)), {}),
        input_first_(with_slack(transposed(input_.data(), c.batch, c.steps, c.problem.channels)), {}),
        output_(static_cast<size_t>(c.batch * c.out_steps * c.problem.filters), {}) {
    c.kernel = kernel_;
    c.bias = bias_;
    c.input = input_.data();
    c.input_first = input_first_.data();
    c.output = output_.data();
  }
  std::span<const float> input() const { return {input_.data(), input_.size() - kInputSlack}; }
  std::span<float> output() { return {output_.data(), output_.size()}; }

 private:
  static std::vector<float> floats(int64_t count, uint64_t seed) {
    return cli::random_floats(count, cli::DataKind::kFloats, seed);
  }

  std::vector<float> kernel_;
  std::vector<float> bias_;
  cli::PlacedArray input_;
  cli::PlacedArray input_first_;
  cli::PlacedArray output_;
};

// A way that is timed: the shortest of all rounds, and the median of each.
struct Runner {
  Entry entry;
  Call call;
  std::vector<double> medians;
  bool is_done = false;

  // One call. The first that fails is the last one, and no figure counts.
  void run() {
    if (!entry.problem.empty()) return;
    const Result<void> done = call();
    if (!done) fail(done.error().message);
  }
  void fail(std::string why) {
    entry.problem = std::move(why);
    is_done = true;
  }
};

// Makes the call and runs it once. `expected` is in the way's layout.
Runner start(const Way& way, const Case& c, const std::vector<float>* expected) {
  Runner runner;
  runner.entry.name = way.name;
  runner.entry.library = way.library;
  runner.entry.layout = way.layout;
  Result<Call> call;
  runner.entry.create_us = cli::microseconds([&] { call = way.make(c); });
  if (!call) {
    runner.fail(call.error().message);
    return runner;
  }
  runner.call = std::move(*call);
  const auto count = static_cast<size_t>(c.batch * c.out_steps * c.problem.filters);
  std::fill_n(c.output, count, std::numeric_limits<float>::quiet_NaN());
  runner.run();
  if (expected == nullptr || runner.is_done) return runner;
  double largest = 0;
  double difference = 0;
  for (size_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::abs(static_cast<double>((*expected)[i])));
    const double own = std::abs(static_cast<double>(c.output[i]) - static_cast<double>((*expected)[i]));
    difference = std::isnan(own) ? HUGE_VAL : std::max(difference, own);
  }
  runner.entry.difference = std::isinf(difference) ? 1 : difference / std::max(largest, 1e-30);
  if (runner.entry.difference <= kTolerance) return runner;
  runner.fail(fmt::format("its result differs by {:.2g} of the largest value", runner.entry.difference));
  return runner;
}

// One slice of `seconds`, longer where a call takes long: the shortest of a few calls is luck. What takes
// longer than the whole row may is not run again.
void run_slice(Runner& runner, double seconds, double row_seconds) {
  constexpr double kCalls = 4;
  if (runner.is_done) return;
  const auto begin = std::chrono::steady_clock::now();
  Entry& entry = runner.entry;
  const double calls_seconds = std::min(kCalls * entry.min_us * 1e-6, row_seconds / 2);
  const cli::Timing timing =
      cli::measure_call([&] { runner.run(); }, nullptr, {}, std::max(seconds, calls_seconds));
  if (runner.is_done) return;
  entry.min_us = entry.min_us > 0 ? std::min(entry.min_us, timing.min_us) : timing.min_us;
  runner.medians.push_back(timing.p50_us);
  entry.p50_us = cli::percentile(runner.medians, 0.5);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  runner.is_done = passed.count() > row_seconds;
}

}  // namespace

Result<Row> measure_row(const Shape1d& shape, const std::vector<Way>& ways, Machine& machine,
                        double seconds) {
  const Result<Work> work = work_of(shape);
  if (!work) return tl::unexpected(work.error());
  Result<Case> c = make_case(shape);
  if (!c) return tl::unexpected(c.error());
  Arrays arrays(*c);
  Row row{shape.name,
          layer_class(shape),
          shape.batch,
          shape.steps,
          work->operations,
          work->operations_inside,
          work->bytes,
          level_of(work->bytes, machine.caches),
          0,
          0,
          0,
          {},
          {}};
  std::vector<Runner> runners;
  std::vector<float> last;
  std::vector<float> first;
  for (const Way& way : ways) {
    const bool is_judge = runners.empty();
    runners.push_back(start(way, *c,
                            is_judge                              ? nullptr
                            : way.layout == Layout::kChannelsLast ? &last
                                                                  : &first));
    if (!is_judge) continue;
    if (runners[0].is_done) return make_error(ErrorCode::kUnsupported, runners[0].entry.problem);
    last.assign(c->output, c->output + arrays.output().size());
    first = transposed(c->output, c->batch, c->out_steps, c->problem.filters);
  }
  const double slice = seconds / (kRounds * static_cast<double>(ways.size() + 1));
  for (int round = 0; round < kRounds; ++round) {
    const double own = machine.traffic.measure(c->kernel, arrays.input(), arrays.output());
    row.bandwidth_gbs = std::max({row.bandwidth_gbs, own, machine.traffic.measure(row.level)});
    for (Runner& runner : runners) {
      row.peak_gflops = std::max(row.peak_gflops, machine.peak.measure({}));
      run_slice(runner, slice, seconds);
    }
  }
  for (Runner& runner : runners) row.entries.push_back(std::move(runner.entry));
  return row;
}

}  // namespace convsmith::bench
