#include "codegen/schedule/schedule_forms.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace convsmith {

namespace {

using ir::Schedule;
using ir::StepKind;

// Collects steps; splits and roles whose factor is 1 leave the nest as it is.
class Steps {
 public:
  void add(StepKind kind, std::vector<std::string> loops) {
    schedule_.push_back({kind, std::move(loops), 0});
  }
  void sized(StepKind kind, int64_t size) {
    if (size > 0) schedule_.push_back({kind, {}, size});
  }
  void split(const std::string& loop, int64_t factor) {
    schedule_.push_back({StepKind::kSplit, {loop}, factor});
  }
  // The innermost loop over `dim`, which was split so often, in blocks of `vectors` vectors; names the loops
  // that stand inside.
  std::vector<std::string> vectors(const std::string& dim, int64_t vectors, int64_t lanes, int splits = 0) {
    const auto loop = [&](int i) { return i == 0 ? dim : dim + std::to_string(i); };
    const std::string block = loop(splits + 1);
    split(loop(splits), vectors * lanes);
    if (vectors == 1) {
      add(StepKind::kLanes, {block});
      return {block};
    }
    split(block, lanes);
    add(StepKind::kTile, {block});
    add(StepKind::kLanes, {loop(splits + 2)});
    return {block, loop(splits + 2)};
  }
  // `count` iterations of `loop` as accumulators; names the loop that stands inside, if any.
  std::vector<std::string> rows(const std::string& loop, const std::string& inner, int64_t count) {
    if (count == 1) return {};
    split(loop, count);
    add(StepKind::kTile, {inner});
    return {inner};
  }
  std::vector<std::string> unroll(const std::string& loop, int64_t factor) {
    if (factor == 1) return {};
    split(loop, factor);
    add(StepKind::kUnroll, {loop + "1"});
    return {loop + "1"};
  }
  Schedule take() { return std::move(schedule_); }

 private:
  Schedule schedule_;
};

using Names = std::vector<std::string>;

Names joined(std::initializer_list<Names> parts) {
  Names all;
  for (const Names& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

Schedule lanes_over_filters(const FilterForm& form, int64_t lanes) {
  Steps steps;
  steps.add(StepKind::kCut, {"o"});
  if (form.fuse) steps.add(StepKind::kFuse, {"k", "c"});
  const Names vectors = steps.vectors("f", form.vectors, lanes);
  Names outer = {"g", "b", "f", "o"};
  if (form.lift > 0) outer = {"b", "o", "g", "f"};
  Names rows;
  if (form.chunk > 0) {
    steps.split("o", form.chunk);
    outer = {"g", "b", "o", "f", "o1"};
    rows = steps.rows("o1", "o2", form.rows);
  } else {
    rows = steps.rows("o", "o1", form.rows);
  }
  const Names reduction = form.fuse ? Names{"r"} : Names{"k", "c"};
  const Names unrolled = steps.unroll(reduction.back(), form.unroll);
  steps.add(StepKind::kReorder, joined({{"n"}, outer, rows, vectors, reduction, unrolled}));
  if (form.ragged) steps.add(StepKind::kRagged, {});
  steps.sized(StepKind::kLift, form.lift);
  if (form.near) steps.add(StepKind::kNear, {});
  steps.sized(StepKind::kBlend, form.blend);
  if (form.slide) steps.add(StepKind::kSlide, {});
  if (form.stream) steps.add(StepKind::kStream, {});
  if (form.prefetch) steps.add(StepKind::kPrefetch, {});
  if (form.read_ahead) steps.add(StepKind::kReadAhead, {});
  steps.sized(StepKind::kPanel, form.panel);
  return steps.take();
}

Schedule lanes_over_channels(const ChannelForm& form, int64_t lanes) {
  Steps steps;
  steps.add(StepKind::kCut, {"o"});
  const Names vectors = steps.vectors("g", form.vectors, lanes);
  const Names rows = steps.rows("o", "o1", form.rows);
  steps.add(StepKind::kReorder, joined({{"n", "b", "o", "g", "f"}, rows, vectors, {"k", "c"}}));
  if (form.ragged) steps.add(StepKind::kRagged, {});
  if (form.slide) steps.add(StepKind::kSlide, {});
  if (form.stream) steps.add(StepKind::kStream, {});
  steps.sized(StepKind::kPanel, form.panel);
  return steps.take();
}

Schedule lanes_over_steps(const StepForm& form, int64_t lanes) {
  Steps steps;
  steps.add(StepKind::kCut, {"o"});
  Names outer = form.channels_first ? Names{"n", "g", "b", "o", "f"} : Names{"n", "b", "o", "g", "f"};
  if (form.chunk > 0) {
    steps.split("o", form.chunk);
    outer.push_back("o1");
  }
  const Names vectors = steps.vectors("o", form.vectors, lanes, form.chunk > 0 ? 1 : 0);
  const Names rows = steps.rows("f", "f1", form.filters);
  const Names unrolled = steps.unroll("c", form.unroll);
  steps.add(StepKind::kReorder, joined({outer, rows, vectors, {"k", "c"}, unrolled}));
  if (form.stage) steps.add(StepKind::kStage, {});
  steps.sized(StepKind::kPanel, form.panel);
  return steps.take();
}

Schedule schedule_of(const ScheduleForm& form, int64_t lanes) {
  if (const auto* filters = std::get_if<FilterForm>(&form)) return lanes_over_filters(*filters, lanes);
  if (const auto* channels = std::get_if<ChannelForm>(&form)) return lanes_over_channels(*channels, lanes);
  return lanes_over_steps(std::get<StepForm>(form), lanes);
}

}  // namespace convsmith
