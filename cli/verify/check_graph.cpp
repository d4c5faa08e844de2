#include "cli/verify/check_graph.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cli/verify/run_call.hpp"
#include "codegen/control_word.hpp"
#include "frontend/base/ceil_div.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/rolling_group.hpp"

namespace convsmith::cli {

uint32_t canonical_bits(float x) {
  return std::isnan(x) ? 0x7fc00000U : std::bit_cast<uint32_t>(x);
}

bool runs_on_threads(const Call& call) {
  return call.seed % 4 == 0;
}
bool runs_on_real_threads(const Call& call) {
  return call.seed % 64 == 0;
}

ParallelFor Pools::pretended(int threads) {
  const auto run = [](void*, void (*task)(void*, size_t), void* context, size_t count) {
    for (size_t i = count; i-- > 0;) task(context, i);
  };
  return {run, nullptr, threads};
}

ParallelFor Pools::real(int threads) {
  const auto index = static_cast<size_t>(threads);
  if (pools_.size() <= index) pools_.resize(index + 1);
  if (!pools_[index]) pools_[index] = std::make_unique<ThreadPool>(threads);
  return pools_[index]->parallel_for();
}

std::string describe_difference(const Arrays& expected, const Arrays& found) {
  for (size_t k = 0; k < expected.size(); ++k) {
    const std::vector<float>& a = expected[k];
    const std::vector<float>& b = found[k];
    size_t count = 0;
    size_t first = 0;
    for (size_t i = a.size(); i-- > 0;) {
      if (canonical_bits(a[i]) == canonical_bits(b[i])) continue;
      first = i;
      ++count;
    }
    if (count == 0) continue;
    const std::string of_tensor = expected.size() > 1 ? fmt::format(" of tensor {}", k) : "";
    return fmt::format(
        "{} of {} outputs{} differ, the first is output {}: {:08x} ({:.9g}), the interpreter gives {:08x} "
        "({:.9g})",
        count, a.size(), of_tensor, first, canonical_bits(b[first]), b[first], canonical_bits(a[first]),
        a[first]);
  }
  return {};
}

std::optional<Finding> check_variants(const std::vector<Variant>& variants, const FilledCall& call,
                                      const Judge& judge, const CheckOptions& options, Pools& pools) {
  Arrays expected;
  for (const Variant& variant : variants) {
    CallRunner runner(variant.graph, call, options.guard);
    const auto find = [&](const std::string& how, const std::string& what) {
      return Finding{variant.back_end, fmt::format("{}{}: {}", back_end_name(variant.back_end), how, what)};
    };
    const auto compare = [&](const CallOutput& output, const std::string& how) -> std::optional<Finding> {
      if (!output.error.empty()) return find(how, output.error);
      const std::string what = describe_difference(expected, output.values);
      if (what.empty()) return std::nullopt;
      return find(how, what);
    };
    CallOutput whole = runner.run({});
    if (&variant == &variants.front()) {
      if (!whole.error.empty()) return find("", whole.error);
      expected = std::move(whole.values);
      const ScopedControlWord modes(call.call.denormals);
      if (std::string wrong = judge(expected); !wrong.empty()) return Finding{std::nullopt, std::move(wrong)};
    } else if (auto finding = compare(whole, "")) {
      return finding;
    }
    for (const int threads : options.threads) {
      if (threads == 1 || !runs_on_threads(call.call)) continue;
      const ParallelFor parallel =
          runs_on_real_threads(call.call) ? pools.real(threads) : Pools::pretended(threads);
      if (auto finding = compare(runner.run(parallel), fmt::format(" on {} threads", threads)))
        return finding;
    }
    if (!runner.has_parts()) continue;
    if (auto finding = compare(runner.run_in_parts(), " in parts")) return finding;
  }
  return std::nullopt;
}

std::shared_ptr<const CompiledGraph> with_short_chains(const CompiledGraph& graph) {
  constexpr int64_t kShort = 24;
  GraphSchedule schedule = schedule_of(graph);
  schedule.samples_within = std::min<int64_t>(schedule.samples_within, 1);  // one sample after the other
  // All that can have rolling buffers gets some, however heavy.
  for (const ir::OpRange& run : rolling_runs(graph.graph, 3, std::numeric_limits<int64_t>::max())) {
    std::erase_if(schedule.groups,
                  [&](const Group& group) { return group.last >= run.first && group.first <= run.last; });
    schedule.groups.push_back({run.first, run.last, kShort / 4});
  }
  std::sort(schedule.groups.begin(), schedule.groups.end(),
            [](const Group& a, const Group& b) { return a.first < b.first; });
  for (Group& group : schedule.groups) {
    const int64_t row_steps = graph.ops[group.last - 1].parts[0].part.row_steps;
    group.chunk = std::min(group.chunk, round_up(kShort, row_steps));
  }
  return with_schedule(graph, schedule).value();
}

namespace {

// Why back ends were left out: what holds for several is said once.
class Refusals {
 public:
  void add(BackEnd back_end, const std::string& message) {
    const auto same = std::find_if(reasons_.begin(), reasons_.end(),
                                   [&](const Reason& reason) { return reason.message == message; });
    if (same == reasons_.end()) {
      reasons_.push_back({back_end_name(back_end), message});
    } else {
      same->names += ", " + back_end_name(back_end);
    }
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const Reason& reason : reasons_)
      lines.push_back(fmt::format("{}: {}", reason.names, reason.message));
    return lines;
  }
  // Where no back end is left.
  std::string sentence() const {
    if (reasons_.size() == 1) return reasons_.front().message;
    return fmt::format("The schedule fits no instruction set: {}", fmt::join(lines(), " "));
  }

 private:
  struct Reason {
    std::string names;
    std::string message;
  };
  std::vector<Reason> reasons_;
};

}  // namespace

Result<std::vector<Variant>> compile_variants(const std::vector<BackEnd>& back_ends,
                                              const CompileVariant& compile,
                                              std::vector<std::string>* skipped) {
  std::vector<Variant> variants;
  const auto add = [&](BackEnd back_end) -> Result<void> {
    auto graph = compile(back_end);
    if (!graph) return tl::unexpected(graph.error());
    variants.push_back({back_end, std::move(*graph)});
    return {};
  };
  Refusals refusals;
  for (const BackEnd back_end : back_ends) {
    Result<void> added;
    if (variants.empty() && back_end.backend != Backend::kInterp)
      added = add({Backend::kInterp, back_end.isa});
    if (added) added = add(back_end);
    if (added) continue;
    if (skipped == nullptr) return tl::unexpected(added.error());
    refusals.add(back_end, added.error().message);
  }
  if (variants.empty()) return make_error(ErrorCode::kInvalidSpec, refusals.sentence());
  if (skipped != nullptr) *skipped = refusals.lines();
  return variants;
}

}  // namespace convsmith::cli
