#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "cli/crash_line.hpp"
#include "cli/verify.hpp"
#include "frontend/make_problem.hpp"
#include "frontend/parse_layer.hpp"

namespace convsmith::cli {

namespace {

using Clock = std::chrono::steady_clock;

// What the workers of one verification share.
struct Shared {
  std::atomic<int64_t> next_layer{0};
  std::mutex mutex;  // guards what follows
  VerifyReport report;
  std::unordered_set<std::string> texts;
};

class Worker {
 public:
  Worker(const VerifyOptions& options, Shared& shared, size_t slot)
      : options_(options), shared_(shared), slot_(slot) {}

  void run_random() {
    for (int64_t i = shared_.next_layer++; first_case(i) < options_.count; i = shared_.next_layer++) {
      random_layer_cases(derive_seed(options_.seed, static_cast<uint64_t>(i)), i % 8 == 0,
                         std::min(first_case(i + 1), options_.count) - first_case(i));
    }
    finish();
  }

  void run_calls(const CheckedLayer& layer, const std::vector<Call>& calls, const std::string& command) {
    for (const Call& call : calls) one_case(layer, call, command);
    finish();
  }

 private:
  // Compiling costs more than running: 19 cases of five layers. (Five of twenty would leave fewer distinct
  // layers than a quarter of the cases, since a few are drawn twice.)
  static int64_t first_case(int64_t layer) { return layer * 19 / 5; }

  void random_layer_cases(uint64_t seed, bool small_chunks, int64_t cases) {
    const LayerSpec drawn = random_layer(seed);
    const std::string text = to_call_text(drawn);
    const std::string command = reproducing_command(drawn) + (small_chunks ? " --small-chunks" : "");
    {
      const std::lock_guard lock(shared_.mutex);
      shared_.texts.insert(text);
    }
    set_crash_line(slot_, command);
    // Through the text, so that the line that reproduces a case means the same layer.
    const auto parsed = parse_layer(text, Rules::kAny);
    if (!parsed) return fail(command, parsed.error().message);
    const auto problem = make_problem(parsed->spec, Rules::kAny);
    if (!problem) return fail(command, problem.error().message);
    if (*problem != make_problem(drawn, Rules::kAny)) return fail(command, "the text means another layer");
    const auto layer = make_checked_layer(parsed->spec, *problem, options_.back_ends, {"", small_chunks});
    if (!layer) return fail(command, layer.error().message);
    for (int64_t i = 0; i < cases; ++i) {
      one_case(*layer, random_call(drawn, *problem, derive_seed(seed, static_cast<uint64_t>(i + 1))),
               command);
    }
    set_crash_line(slot_, "");
  }

  void one_case(const CheckedLayer& layer, const Call& call, const std::string& command) {
    const std::string line = command + call_options(call, options_.guard);
    set_crash_line(slot_, line);
    const auto finding = check_call(layer, call, {options_.guard, options_.threads}, pools_);
    coverage_.add(layer.spec, scheduled_nests(layer), call);
    for (const Variant& variant : layer.variants) coverage_.add_back_end(back_end_name(variant.back_end));
    for (const int threads : options_.threads) {
      if (threads == 1 || runs_on_threads(call)) coverage_.add_threads(threads);
    }
    ++cases_;
    if (finding) fail(line, finding->what);
    if (cases_ % 16 == 0) tell_progress();
  }

  void fail(const std::string& command, const std::string& what) {
    const std::lock_guard lock(shared_.mutex);
    shared_.report.failures.push_back(fmt::format("{}  # {}", command, what));
  }

  void tell_progress() {
    const std::lock_guard lock(shared_.mutex);
    shared_.report.cases += cases_ - told_;
    told_ = cases_;
    if (options_.progress) {
      options_.progress(shared_.report.cases, static_cast<int64_t>(shared_.report.failures.size()));
    }
  }

  void finish() {
    tell_progress();
    const std::lock_guard lock(shared_.mutex);
    shared_.report.coverage.merge(coverage_);
  }

  const VerifyOptions& options_;
  Shared& shared_;
  size_t slot_;
  Pools pools_;
  Coverage coverage_;
  int64_t cases_ = 0;
  int64_t told_ = 0;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

std::string reproducing_command(const LayerSpec& spec) {
  return fmt::format("convsmith verify \"{}\" --rules any", to_call_text(spec));
}

std::string call_options(const Call& call, bool guard) {
  return fmt::format(" --batch {} --steps {} --data {} --seed {}{}", call.batch, call.steps,
                     data_name(call.data), call.seed, guard ? " --guard" : "");
}

VerifyReport verify_random(const VerifyOptions& options) {
  const auto begin = Clock::now();
  Shared shared;
  std::vector<std::thread> threads;
  const auto jobs = static_cast<size_t>(std::clamp(options.jobs, 1, static_cast<int>(kCrashSlots)));
  for (size_t slot = 0; slot < jobs; ++slot) {
    threads.emplace_back([&options, &shared, slot] { Worker(options, shared, slot).run_random(); });
  }
  for (std::thread& thread : threads) thread.join();
  shared.report.layers = static_cast<int64_t>(shared.texts.size());
  shared.report.seconds = seconds_since(begin);
  return std::move(shared.report);
}

VerifyReport verify_calls(const CheckedLayer& layer, const std::vector<Call>& calls,
                          const std::string& command, const VerifyOptions& options) {
  const auto begin = Clock::now();
  Shared shared;
  Worker(options, shared, 0).run_calls(layer, calls, command);
  shared.report.layers = 1;
  shared.report.seconds = seconds_since(begin);
  return std::move(shared.report);
}

}  // namespace convsmith::cli
