#include "cli/measure/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "cli/io/files.hpp"
#include "cli/measure/computed_products.hpp"
#include "cli/measure/measure.hpp"
#include "cli/verify/check_graph.hpp"
#include "cli/verify/placed_array.hpp"
#include "cli/verify/random_layer.hpp"
#include "codegen/schedule/candidate_schedules.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Kernel = std::shared_ptr<const CompiledKernel>;

// Schedules of the final, and its share of the time. The best of them meets the chosen one alone once more,
// as long: the best of several measurements owes some of its lead to luck. The rounds before share the rest.
constexpr size_t kFinalists = 4;
constexpr double kFinalShare = 0.25;
// A time that is no longer than this is measured over several calls together.
constexpr double kShortestUs = 50;
// To be called better another schedule must save so much in the median of all turns, and be faster in two of
// three: less is noise.
constexpr double kWorthwhile = 0.99;
constexpr double kMostTurns = 2.0 / 3;
constexpr int kFewestTurns = 2;
constexpr int kFewestLastTurns = 5;
// The interpreter does this in a tenth of a second.
constexpr double kInterpreterOperations = 2e7;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// The samples and rows of a call that are computed.
struct Extent {
  int64_t samples;
  int64_t rows;
};

// The arrays of a call, which all candidates share.
class KernelBench {
 public:
  KernelBench(const KernelCall& call, uint64_t seed) : call_(call), rows_(call.rows()) {
    const Problem& p = call.layer;
    const Problem& own = call.part.problem;
    const auto random = [&](int64_t count) { return random_floats(count, DataKind::kFloats, seed++); };
    fill_pitches(args_, p, call.steps, call.out_steps);
    place(input_, random(call.batch * args_.kInSample));
    place(output_, std::vector<float>(static_cast<size_t>(call.batch * args_.kOutSample)));
    if (p.combine != Combine::kNone) place(operand_, random(call.batch * args_.kOperandSample));
    if (own.has_weights()) kernel_ = random(own.taps * own.group_channels() * own.filters);
    if (own.has_bias) bias_ = random(own.filters);
    const int64_t behind = call.part.first - call.part.crop;
    args_.kIn = input_->data();
    args_.kOut = output_->data() + behind * p.out_pitch();
    args_.kOperand = operand_ ? operand_->data() + behind * p.operand_pitch() : nullptr;
    args_.kSteps = call.steps;
    args_.kPadLeft = own.left_padding(call.steps);
  }

  Extent whole() const { return {call_.batch, rows_.end - rows_.begin}; }
  // About a share of it, at least one row of one sample.
  Extent part_of_whole(double share, int64_t fewest_rows) const {
    const Extent all = whole();
    if (share >= 1) return all;
    const double rows = share * static_cast<double>(all.samples * all.rows);
    const auto samples = static_cast<int64_t>(rows / static_cast<double>(all.rows));
    if (samples >= 1) return {samples, all.rows};
    return {1, std::clamp(static_cast<int64_t>(rows), std::min(fewest_rows, all.rows), all.rows)};
  }

  // Packed once for each order of the weights.
  std::shared_ptr<const PackedData> pack(const Kernel& kernel) {
    for (const auto& packed : packed_) {
      if (packed->layout == kernel->weights) return packed;
    }
    if (kernel->weights.floats() == 0) return std::make_shared<const PackedData>();
    packed_.push_back(pack_weights(kernel, kernel_, bias_));
    return packed_.back();
  }

  void run(const CompiledKernel& kernel, const PackedData& packed, Extent extent) {
    args_.kWeights = packed.data;
    args_.kBlockEnd = kernel.blocks.count;
    args_.kSampleEnd = extent.samples;
    args_.kStepBegin = rows_.begin;
    args_.kStepEnd = rows_.begin + extent.rows;
    run_rows(kernel, args_, {});
  }

  Arrays output_of(const Kernel& kernel, Extent extent) {
    std::fill_n(output_->data(), output_->size(), -1.0F);
    run(*kernel, *pack(kernel), extent);
    return {{output_->data(), output_->data() + output_->size()}};
  }

 private:
  static void place(std::unique_ptr<PlacedArray>& array, const std::vector<float>& values) {
    array = std::make_unique<PlacedArray>(values, Place{});
  }

  const KernelCall& call_;
  ir::RowRange rows_;
  KernelArgs args_{};
  std::unique_ptr<PlacedArray> input_;
  std::unique_ptr<PlacedArray> output_;
  std::unique_ptr<PlacedArray> operand_;
  std::vector<float> kernel_;
  std::vector<float> bias_;
  std::vector<std::shared_ptr<const PackedData>> packed_;
};

// A schedule in the race.
struct Runner {
  ir::Schedule schedule;
  Kernel kernel;
  std::shared_ptr<const PackedData> packed;
  std::vector<double> us = {};  // of the turns of its last round

  double shortest_us() const { return *std::min_element(us.begin(), us.end()); }
  // Its times over those of `other` in the same turns: what slows both counts for neither.
  double time_over(const Runner& other, double share_of_turns) const {
    std::vector<double> quotients;
    for (size_t turn = 0; turn < us.size(); ++turn) quotients.push_back(us[turn] / other.us[turn]);
    return percentile(quotients, share_of_turns);
  }
};

// Compiles and checks candidates, and measures those that pass; the first one is the chosen schedule.
class Race {
 public:
  Race(const KernelCall& call, const TuneOptions& options)
      : call_(call),
        options_(options),
        bench_(call, options.seed),
        peak_(PeakLoop::make(options.back_end.isa)) {}

  Result<void> enter_all(TunedKernel& out) {
    const Problem& p = call_.part.problem;
    for (const ir::Schedule& schedule : candidate_schedules(p, host_target(options_.back_end.isa))) {
      auto kernel = compile(schedule, options_.back_end.backend);
      // The chosen one must run; others may not fit the registers.
      if (!kernel && runners_.empty()) return tl::unexpected(kernel.error());
      if (!kernel) continue;
      Arrays output = bench_.output_of(*kernel, bench_.whole());
      const std::string wrong =
          runners_.empty() ? check_chosen(*kernel, schedule) : describe_difference(expected_, output);
      if (!wrong.empty()) {
        out.mismatches.push_back(
            fmt::format("{}: with the schedule {} {}", call_.name, ir::print(schedule), wrong));
      }
      if (!wrong.empty() && !runners_.empty()) continue;
      if (runners_.empty()) expected_ = std::move(output);
      runners_.push_back({schedule, *kernel, bench_.pack(*kernel)});
      tell();
      if (is_stopped()) break;
    }
    out.candidates = runners_.size();
    out.chosen = runners_.front().schedule;
    return {};
  }

  void measure(TunedKernel& out) {
    size_t rounds = 0;
    for (size_t left = runners_.size(); left > kFinalists; left = (left + 1) / 2) ++rounds;
    const double whole_us = time_one(runners_.front(), bench_.whole());
    while (runners_.size() > kFinalists) {
      const double seconds = options_.seconds * (1 - 2 * kFinalShare) / static_cast<double>(rounds);
      // At least three turns in the time of the round.
      const double share = seconds * 1e6 / (whole_us * static_cast<double>(6 * runners_.size()));
      run_round(seconds, kFewestTurns, bench_.part_of_whole(share, kFewestRows));
      std::stable_sort(runners_.begin() + 1, runners_.end(),
                       [](const Runner& a, const Runner& b) { return a.shortest_us() < b.shortest_us(); });
      keep((runners_.size() + 1) / 2);
    }
    run_round(options_.seconds * kFinalShare, kFewestLastTurns, bench_.whole());
    std::stable_sort(runners_.begin() + 1, runners_.end(), [&](const Runner& a, const Runner& b) {
      return a.time_over(runners_.front(), 0.5) < b.time_over(runners_.front(), 0.5);
    });
    keep(2);
    run_round(options_.seconds * kFinalShare, kFewestLastTurns, bench_.whole());
    const Runner& chosen = runners_.front();
    const Runner& other = runners_.back();
    const double quotient = other.time_over(chosen, 0.5);
    const bool is_better = quotient < kWorthwhile && other.time_over(chosen, kMostTurns) < 1;
    out.chosen_us = chosen.shortest_us();
    out.best = (is_better ? other : chosen).schedule;
    out.best_us = out.chosen_us * (is_better ? quotient : 1);
    out.peak_gflops = peak_gflops_;
  }

 private:
  // Enough that a tile and its edge count as they do in longer calls.
  static constexpr int64_t kFewestRows = 512;

  Result<Kernel> compile(const ir::Schedule& schedule, Backend backend) const {
    const auto& memory = process_code_memory();
    return compile_problem(call_.part.problem.without_padding(), backend, options_.back_end.isa,
                           ir::print(schedule), memory ? *memory : nullptr);
  }

  std::string check_chosen(const Kernel& kernel, const ir::Schedule& schedule) {
    const auto judge = compile(schedule, Backend::kInterp);
    if (!judge) return judge.error().message;
    const double operations = std::max(call_.operations(), 1.0);
    const Extent some = bench_.part_of_whole(kInterpreterOperations / operations, 1);
    const Arrays expected = bench_.output_of(*judge, some);
    return describe_difference(expected, bench_.output_of(kernel, some));
  }

  // Microseconds of a call whose data the call before it has brought near.
  double time_one(const Runner& runner, Extent extent) {
    const auto call = [&] { bench_.run(*runner.kernel, *runner.packed, extent); };
    const double once = microseconds(call);
    if (once > 20 * kShortestUs) return once;
    const int count = 1 + static_cast<int>(kShortestUs / std::max(once, 0.01));
    return microseconds([&] {
             for (int i = 0; i < count; ++i) call();
           }) /
           count;
  }

  // All runners in turns, with the peak between some of them.
  void run_round(double seconds, int fewest_turns, Extent extent) {
    for (Runner& runner : runners_) runner.us.clear();
    const auto begin = Clock::now();
    for (int turn = 0; turn < fewest_turns || seconds_since(begin) < seconds; ++turn) {
      for (Runner& runner : runners_) runner.us.push_back(time_one(runner, extent));
      if (peak_ && turn % 8 == 0) peak_gflops_ = std::max(peak_gflops_, peak_->measure({}));
      if (is_stopped()) return;
    }
  }

  // The first ones, with the chosen one as the first of all.
  void keep(size_t count) {
    if (runners_.size() > count)
      runners_.erase(runners_.begin() + static_cast<std::ptrdiff_t>(count), runners_.end());
    tell();
  }

  bool is_stopped() const { return options_.stop && options_.stop(); }

  void tell() const {
    if (options_.progress) options_.progress(runners_.size());
  }

  const KernelCall& call_;
  const TuneOptions& options_;
  KernelBench bench_;
  Result<PeakLoop> peak_;
  double peak_gflops_ = 0;
  Arrays expected_;
  std::vector<Runner> runners_;
};

// Where steps do not look at each other, the samples of a call are one long run (graph_call).
void join_samples(KernelCall& call, const ir::Op& op) {
  const Problem& p = op.problem;
  const bool follows = p.combine == Combine::kNone || (op.operand >= 0 && p.operand_has_steps);
  if (!is_stepwise(p) || !follows) return;
  call.steps *= call.batch;
  call.out_steps *= call.batch;
  call.batch = 1;
}

double call_floats(const KernelCall& call) {
  KernelArgs args{};
  fill_pitches(args, call.layer, call.steps, call.out_steps);
  const Problem& p = call.part.problem;
  const double weights =
      p.has_weights() ? static_cast<double>(p.taps * p.group_channels()) * static_cast<double>(p.filters) : 0;
  // The output is there twice more, packed weights in a few orders.
  return static_cast<double>(call.batch) *
             (static_cast<double>(args.kInSample) + 3 * static_cast<double>(args.kOutSample) +
              static_cast<double>(args.kOperandSample)) +
         8 * weights;
}

}  // namespace

double KernelCall::operations() const {
  const ir::RowRange range = rows();
  return 2.0 * static_cast<double>(batch) * computed_products(part.problem, steps, range.begin, range.end);
}

std::vector<KernelCall> kernel_calls(const ir::Graph& graph, int64_t batch, int64_t steps) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, input_steps(graph, steps));
  const auto steps_of = [&](int tensor) {
    return extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(tensor)].steps)];
  };
  std::vector<KernelCall> calls;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    const ir::Op& op = graph.ops[i];
    if (op.kind != ir::OpKind::kNest) continue;
    for (ir::Part& part : ir::split_parts(op.problem)) {
      if (part.merged_phases > 0) continue;
      KernelCall call{op.name, op.problem, std::move(part), batch, steps_of(op.in), steps_of(op.out)};
      join_samples(call, op);
      if (graph.ops.size() > 1)
        call.name = fmt::format("pass {} of {}: {}", i + 1, graph.ops.size(), op.name);
      if (call.rows().begin >= call.rows().end || call.batch == 0) continue;
      const auto same = std::find_if(calls.begin(), calls.end(), [&](const KernelCall& other) {
        return other.part.problem.without_padding() == call.part.problem.without_padding();
      });
      if (same == calls.end()) {
        calls.push_back(std::move(call));
        continue;
      }
      // One kernel has one schedule: that of its longest call.
      call.uses = same->uses + 1;
      const auto work = [](const KernelCall& c) { return c.batch * (c.rows().end - c.rows().begin); };
      if (work(call) > work(*same))
        *same = std::move(call);
      else
        same->uses = call.uses;
    }
  }
  return calls;
}

double TunedKernel::peak_share(double us) const {
  return peak_gflops > 0 ? std::min(call.operations() / us * 1e-3 / peak_gflops, 1.0) : 0;
}

Result<std::optional<TunedKernel>> tune_kernel(const KernelCall& call, const TuneOptions& options) {
  if (auto fits = check_memory("The arrays of this call", 4 * call_floats(call)); !fits)
    return tl::unexpected(fits.error());
  TunedKernel out;
  out.call = call;
  Race race(call, options);
  if (auto entered = race.enter_all(out); !entered) return tl::unexpected(entered.error());
  race.measure(out);
  if (options.stop && options.stop()) return std::nullopt;
  return out;
}

TuningEntry tuning_entry(const TunedKernel& tuned, BackEnd back_end) {
  return {tuning_problem(tuned.call.part.problem),
          back_end.isa,
          back_end.backend,
          tuned.call.batch,
          tuned.call.steps,
          ir::print(tuned.best),
          tuned.chosen_us,
          tuned.best_us};
}

}  // namespace convsmith::cli
