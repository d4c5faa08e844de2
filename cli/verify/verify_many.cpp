#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "cli/verify/crash_line.hpp"
#include "cli/verify/random_model.hpp"
#include "cli/verify/verify.hpp"
#include "codegen/schedule/candidate_schedules.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"

namespace convsmith::cli {

namespace {

using Clock = std::chrono::steady_clock;

// What the workers of one verification share.
struct Shared {
  std::atomic<int64_t> next_item{0};
  std::mutex mutex;  // guards what follows
  VerifyReport report;
  std::unordered_set<std::string> texts;
};

class Worker {
 public:
  Worker(const VerifyOptions& options, Shared& shared, size_t slot)
      : options_(options), shared_(shared), slot_(slot) {}

  void run_random() {
    for (int64_t i = shared_.next_item++; first_case(i) < options_.count; i = shared_.next_item++) {
      const int64_t cases = std::min(first_case(i + 1), options_.count) - first_case(i);
      const uint64_t seed = derive_seed(options_.seed, static_cast<uint64_t>(i));
      const auto number = static_cast<uint64_t>(i);
      if (number % kModelEvery == kModelEvery - 1) {
        // Its form goes round, wherever the seed begins.
        model_cases(seed / kModelForms * kModelForms + number / kModelEvery % kModelForms, number, cases);
      } else {
        layer_cases(seed, number - number / kModelEvery, cases);
      }
    }
    finish();
  }

  template <class Checked>
  void run_calls(const Checked& checked, const std::vector<Call>& calls, const std::string& command) {
    for (const Call& call : calls) one_case(checked, call, command);
    finish();
  }

 private:
  static constexpr uint64_t kModelEvery = 20;

  // Compiling costs more than running: 18 cases of five layers. (Five of twenty would leave fewer distinct
  // layers than a quarter of the cases, since a few are drawn twice.)
  static int64_t first_case(int64_t item) { return item * 18 / 5; }

  // All back ends, but one only of those that LLVM makes.
  std::vector<BackEnd> back_ends_for(uint64_t number) const {
    std::vector<BackEnd> chosen;
    const auto is_llvm = [](BackEnd back_end) { return back_end.backend == Backend::kLlvm; };
    const auto of_llvm =
        static_cast<uint64_t>(std::count_if(options_.back_ends.begin(), options_.back_ends.end(), is_llvm));
    uint64_t llvm = 0;
    for (const BackEnd back_end : options_.back_ends) {
      if (!is_llvm(back_end) || llvm++ == number % of_llvm) chosen.push_back(back_end);
    }
    return chosen;
  }

  void layer_cases(uint64_t seed, uint64_t number, int64_t cases) {
    const LayerSpec drawn = random_layer(seed, number);
    const bool small_chunks = seed % 8 == 0;
    const std::string text = to_call_text(drawn);
    std::optional<uint64_t> candidate;
    if (seed % 16 == 1) candidate = seed / 16 % kMostCandidates;
    std::string command = reproducing_command(drawn);
    if (small_chunks) command += " --small-chunks";
    if (candidate) command += fmt::format(" --candidate {}", *candidate);
    {
      const std::lock_guard lock(shared_.mutex);
      shared_.texts.insert(text);
    }
    set_crash_line(slot_, command);
    // Through the text, so that the line that reproduces a case means the same layer.
    const auto parsed = parse_layer(text, Rules::kAny);
    if (!parsed) return fail(command, parsed.error().message);
    const auto problem = make_layer_problem(parsed->spec, Rules::kAny);
    const auto meant = make_layer_problem(drawn, Rules::kAny);
    if (!problem) return fail(command, problem.error().message);
    if (!meant || problem->chain != meant->chain || problem->row != meant->row)
      return fail(command, "the text means another layer");
    const auto layer = make_checked_layer(parsed->spec, *problem, back_ends_for(number),
                                          {.small_chunks = small_chunks, .candidate = candidate});
    if (!layer) return fail(command, layer.error().message);
    for (int64_t i = 0; i < cases; ++i)
      one_case(*layer, random_call(layer->graph, derive_seed(seed, static_cast<uint64_t>(i + 1))), command);
  }

  void model_cases(uint64_t seed, uint64_t number, int64_t cases) {
    const bool small_chunks = seed / kModelForms % 2 == 0;
    const std::string command =
        fmt::format("convsmith verify --random-model {}{}", seed, small_chunks ? " --small-chunks" : "");
    set_crash_line(slot_, command);
    {
      const std::lock_guard lock(shared_.mutex);
      ++shared_.report.models;
    }
    const auto model = make_checked_model(random_model(seed), Rules::kAny, back_ends_for(number),
                                          {.small_chunks = small_chunks});
    if (!model) return fail(command, model.error().message);
    for (int64_t i = 0; i < cases; ++i)
      one_case(*model, random_model_call(*model, derive_seed(seed, static_cast<uint64_t>(i + 1))), command);
  }

  void cover(const CheckedLayer& layer, const Call& call, const interp::BlockTrace& trace) {
    coverage_.add(layer.spec, *layer.variants.front().graph, call, trace);
  }
  void cover(const CheckedModel& model, const Call& call, const interp::BlockTrace& trace) {
    coverage_.add(*model.spec, model.graph(), call, trace);
  }

  template <class Checked>
  void one_case(const Checked& checked, const Call& call, const std::string& command) {
    const std::string line = command + call_options(call, options_.guard);
    set_crash_line(slot_, line);
    const interp::BlockTrace trace;
    const auto finding = check_call(checked, call, {options_.guard, options_.threads}, pools_);
    cover(checked, call, trace);
    for (const Variant& variant : checked.variants) {
      coverage_.add_back_end(back_end_name(variant.back_end));
      back_ends_.insert(back_end_name(variant.back_end));
    }
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
    shared_.report.back_ends.merge(back_ends_);
  }

  const VerifyOptions& options_;
  Shared& shared_;
  size_t slot_;
  Pools pools_;
  Coverage coverage_;
  std::set<std::string> back_ends_;
  int64_t cases_ = 0;
  int64_t told_ = 0;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

template <class Checked>
VerifyReport run_all(const Checked& checked, const std::vector<Call>& calls, const std::string& command,
                     const VerifyOptions& options) {
  const auto begin = Clock::now();
  Shared shared;
  Worker(options, shared, 0).run_calls(checked, calls, command);
  shared.report.seconds = seconds_since(begin);
  return std::move(shared.report);
}

}  // namespace

std::string reproducing_command(const LayerSpec& spec) {
  return fmt::format("convsmith verify \"{}\" --rules any", to_call_text(spec));
}

std::string_view denormals_option(Denormals denormals) {
  return denormals == Denormals::kFlush ? " --denormals flush" : "";
}

std::string call_options(const Call& call, bool guard) {
  return fmt::format(" --batch {} --steps {} --data {} --seed {}{}{}", call.batch, call.steps,
                     data_name(call.data), call.seed, denormals_option(call.denormals),
                     guard ? " --guard" : "");
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
  VerifyReport report = run_all(layer, calls, command, options);
  report.layers = 1;
  return report;
}

VerifyReport verify_calls(const CheckedModel& model, const std::vector<Call>& calls,
                          const std::string& command, const VerifyOptions& options) {
  VerifyReport report = run_all(model, calls, command, options);
  report.models = 1;
  return report;
}

}  // namespace convsmith::cli
