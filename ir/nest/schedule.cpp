#include "ir/nest/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ir/nest/nest_verify.hpp"

namespace convsmith::ir {

namespace {

tl::unexpected<Error> fail(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, std::move(what));
}

Result<size_t> named(const LoopNest& nest, const std::string& name) {
  if (const auto index = find_loop(nest.loops, name)) return *index;
  std::string all;
  for (size_t i = 0; i < nest.loops.size(); ++i) all += (i == 0 ? "" : " ") + loop_name(nest.loops, i);
  return fail(fmt::format("expected a loop, found '{}'; the loops are {}", name, all));
}

Result<size_t> named_serial(const LoopNest& nest, const std::string& name) {
  auto index = named(nest, name);
  if (index && nest.loops[*index].role != Role::kSerial)
    return fail(fmt::format("expected loop '{}' to be serial", name));
  return index;
}

// Turn this:  for o = 0..O { .. for k = 0..K where the position is inside .. }
// Into this:  for bands of o { for o in band { .. for k in the band's taps .. } }
Result<LoopNest> cut(LoopNest nest, const Step& step) {
  if (step.loops.size() != 1 || step.loops[0] != "o") return fail("expected 'cut o'");
  if (nest.cut()) return fail("expected a nest that is not cut yet");
  const auto o = find_loop(nest.loops, "o");
  const auto k = find_loop(nest.loops, nest.fused() ? "r" : "k");
  if (!o || !k || *k < *o) return fail("expected the loop over o outside the loop over taps");
  nest.loops.insert(nest.loops.begin() + static_cast<std::ptrdiff_t>(*o), Loop{Dim::kStep, 1, Role::kBand});
  return nest;
}

// Turn this:  for k = 0..K { for c = 0..C }
// Into this:  for r = 0..K*C
Result<LoopNest> fuse(LoopNest nest, const Step& step) {
  if (step.loops != std::vector<std::string>{"k", "c"}) return fail("expected 'fuse k c'");
  const Problem& p = nest.problem;
  const auto k = named_serial(nest, "k");
  if (!k) return tl::unexpected(k.error());
  if (*k + 1 >= nest.loops.size() || loop_name(nest.loops, *k + 1) != "c" || nest.loops[*k].step != 1 ||
      nest.loops[*k + 1].step != 1) {
    return fail("expected loops 'k' and 'c' to be neighbours and not split");
  }
  if (!nest.cut()) return fail("expected 'cut o' before 'fuse k c'");
  const bool rows_touch = p.has_weights() && p.groups == 1 &&
                          (p.layout == Layout::kChannelsLast || p.channels == 1) &&
                          (p.in_pitch() == p.channels || p.taps == 1);
  if (!rows_touch || (p.dilation != 1 && p.taps != 1)) {
    return fail("expected taps and channels to be one run of memory: channels-last, one group, dilation 1");
  }
  nest.loops[*k].dim = Dim::kReduction;
  nest.loops.erase(nest.loops.begin() + static_cast<std::ptrdiff_t>(*k) + 1);
  return nest;
}

// Turn this:  for f = 0..F
// Into this:  for f = 0..F step s { for f1 = 0..s }
Result<LoopNest> split(LoopNest nest, const Step& step) {
  if (step.loops.size() != 1) return fail("expected 'split LOOP FACTOR'");
  const auto i = named_serial(nest, step.loops[0]);
  if (!i) return tl::unexpected(i.error());
  if (nest.loops[*i].step != 1) return fail(fmt::format("expected loop '{}' to have step 1", step.loops[0]));
  if (step.factor < 2 || step.factor > (int64_t{1} << 40)) {
    return fail(fmt::format("expected a factor of at least 2, found {}", step.factor));
  }
  nest.loops[*i].step = step.factor;
  nest.loops.insert(nest.loops.begin() + static_cast<std::ptrdiff_t>(*i) + 1,
                    Loop{nest.loops[*i].dim, 1, Role::kSerial});
  return nest;
}

Result<LoopNest> reorder(LoopNest nest, const Step& step) {
  if (step.loops.size() != nest.loops.size()) {
    return fail(fmt::format("expected all {} loops by name, found {}", nest.loops.size(), step.loops.size()));
  }
  std::vector<Loop> loops;
  std::vector<bool> used(nest.loops.size(), false);
  for (const std::string& name : step.loops) {
    const auto i = named(nest, name);
    if (!i) return tl::unexpected(i.error());
    if (used[*i]) return fail(fmt::format("expected loop '{}' once", name));
    used[*i] = true;
    loops.push_back(nest.loops[*i]);
  }
  nest.loops = std::move(loops);
  return nest;
}

Result<LoopNest> set_role(LoopNest nest, const Step& step, Role role) {
  if (step.loops.size() != 1) return fail("expected the name of one loop");
  const auto i = named_serial(nest, step.loops[0]);
  if (!i) return tl::unexpected(i.error());
  if (loop_with(nest.loops, nest.loops[*i].dim, role) != nullptr) {
    return fail(
        fmt::format("expected loop '{}' to be the first of its dimension with this role", step.loops[0]));
  }
  const auto extent = loop_extent(nest, *i);
  if (!extent) return fail(fmt::format("expected loop '{}' to have constant extent", step.loops[0]));
  if (*extent > 64 * nest.loops[*i].step) {
    return fail(
        fmt::format("expected loop '{}' to have at most 64 iterations, found {}", step.loops[0], *extent));
  }
  nest.loops[*i].role = role;
  return nest;
}

// Turn this:  for o = 0..O step s { .. }
// Into this:  for o = 0..O step s tail shift a b { .. }
Result<LoopNest> tail(LoopNest nest, const Step& step) {
  if (step.loops.size() != 1) return fail("expected the name of one loop");
  const auto i = named_serial(nest, step.loops[0]);
  if (!i) return tl::unexpected(i.error());
  if (nest.loops[*i].dim != Dim::kStep || nest.loops[*i].step == 1)
    return fail(fmt::format("expected a loop over o that is split, found '{}'", step.loops[0]));
  nest.loops[*i].tail = step.tail;
  return nest;
}

// Turn this:  for f = 0..F step s { .. }
// Into this:  for f = 0..F step s wide n { .. }
Result<LoopNest> wide(LoopNest nest, const Step& step) {
  if (step.loops.size() != 1) return fail("expected 'wide LOOP FACTOR'");
  const auto i = named_serial(nest, step.loops[0]);
  if (!i) return tl::unexpected(i.error());
  if (nest.loops[*i].dim != Dim::kFilter && nest.loops[*i].dim != Dim::kGroup)
    return fail(fmt::format("expected a loop over f or g, found '{}'", step.loops[0]));
  if (step.factor < 1 || step.factor > kMostWide)
    return fail(fmt::format("expected 1 to {} blocks, found {}", kMostWide, step.factor));
  nest.loops[*i].wide = step.factor;
  return nest;
}

// Turn this:  for o { .. in[o + k] .. }
// Into this:  for o { copy x1 = in; .. x1[k][o] .. }
Result<LoopNest> stage(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("'stage' takes no loop");
  if (lanes_dim(nest) != Dim::kStep) return fail("expected lanes over o");
  const auto o = std::find_if(nest.loops.begin(), nest.loops.end(),
                              [](const Loop& l) { return l.dim == Dim::kStep && l.role == Role::kSerial; });
  if (o == nest.loops.end()) return fail("expected a loop over o outside its lanes");
  o->copies_in = true;
  return nest;
}

// Turn this:  guard o { for o { .. lanes f } }
// Into this:  guard o { part inside { lanes o { for o1 { copy x1 = in; for o2 { tile o3 .. }; copy out = y1 }
// } }
//                       part edge { for o { .. lanes f } } }
Result<LoopNest> lift(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("expected 'lift FACTOR'");
  if (!nest.guarded()) return fail("expected 'ragged' before 'lift'");
  if (skews(nest.loops)) return fail("expected 'lift' before 'slide'");
  if (step.factor < 1 || step.factor > kMostLifted)
    return fail(fmt::format("expected 1 to {} vectors of steps, found {}", kMostLifted, step.factor));
  nest.inside = inside_loops(nest, {.vectors = step.factor, .far = true});
  return nest;
}

// Turn this:  part inside { lanes o { for o1 { copy x1 = in; for o2 { tile o3 .. }; copy out = y1 } } }
// Into this:  part inside { for o { copy x1 = in; for o1 { tile o2 { lanes o3 .. }; copy out = y1 } } }
Result<LoopNest> near(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("'near' takes no loop");
  Inside form = inside_of(nest);
  if (form.vectors == 0) return fail("expected 'lift' before 'near'");
  form.far = false;
  nest.inside = inside_loops(nest, form);
  return nest;
}

// Turn this:  for rows a { for f in the filters that fill a part of a vector { acc[a][f] += x[a] * w[f] } }
// Into this:  for pairs of rows a, b { acc[a, b][f] += (x[a], x[b]) * (w[f], w[f]) }
Result<LoopNest> blend(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("expected 'blend FACTOR'");
  if (step.factor < 2 || step.factor > kMostBlended)
    return fail(
        fmt::format("expected 2 to {} rows that share a vector, found {}", kMostBlended, step.factor));
  for (Loop& loop : nest.loops) {
    if (loop.dim != Dim::kFilter || loop.role != Role::kLanes) continue;
    loop.tail = {TailStrategy::kShare, {step.factor}};
    return nest;
  }
  return fail("expected lanes over f");
}

// Turn this:  for bands of o { .. for k in the band's taps .. }
// Into this:  guard o { for tiles of o { .. for the taps of any row: the rows that have it .. } }
Result<LoopNest> ragged(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("'ragged' takes no loop");
  for (Loop& loop : nest.loops) {
    if (!is_band(loop.role)) continue;
    loop.role = Role::kGuard;
    return nest;
  }
  return fail("expected 'cut o' before 'ragged'");
}

// Turn this:  for k { load w[k]; for the rows a of a tile { load x[a + k]; acc[a] += x[a + k] * w[k] } }
// Into this:  for positions j { load x[j]; for the rows a that read it { acc[a] += x[j] * w[j - a] } }
Result<LoopNest> slide(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("'slide' takes no loop");
  if (!nest.guarded()) return fail("expected 'ragged' before 'slide'");
  Inside form = inside_of(nest);
  if (form.vectors > 0) {
    form.skewed = true;
    nest.inside = inside_loops(nest, form);
    return nest;
  }
  const auto taps = std::find_if(nest.loops.begin(), nest.loops.end(),
                                 [](const Loop& loop) { return is_reduction(loop.dim); });
  taps->role = Role::kSkew;
  return nest;
}

Result<LoopNest> hint(LoopNest nest, const Step& step, HintKind kind) {
  if (!step.loops.empty()) return fail(fmt::format("'{}' takes no loop", print(step)));
  if (kind == HintKind::kNontemporal && nest.problem.out_pitch() % 16 != 0)
    return fail("expected rows of the output to be a multiple of 16 floats");
  if (nest.hint(kind) == nullptr) nest.hints.push_back({kind});
  return nest;
}

Result<LoopNest> panel(LoopNest nest, const Step& step) {
  if (!step.loops.empty()) return fail("expected 'panel FACTOR'");
  if (step.factor < 1 || step.factor > kMostPanel)
    return fail(fmt::format("expected a panel of 1 to {}, found {}", kMostPanel, step.factor));
  nest.packed_by = step.factor;
  return nest;
}

std::optional<HintKind> hint_of(StepKind step) {
  if (step == StepKind::kStream) return HintKind::kNontemporal;
  if (step == StepKind::kPrefetch) return HintKind::kPrefetchWeights;
  if (step == StepKind::kReadAhead) return HintKind::kPrefetchInput;
  return std::nullopt;
}

bool is_inside_step(StepKind kind) {
  return kind == StepKind::kLift || kind == StepKind::kNear || kind == StepKind::kSlide;
}

Result<LoopNest> rewrite(LoopNest nest, const Step& step) {
  switch (step.kind) {
    case StepKind::kCut:
      return cut(std::move(nest), step);
    case StepKind::kFuse:
      return fuse(std::move(nest), step);
    case StepKind::kSplit:
      return split(std::move(nest), step);
    case StepKind::kReorder:
      return reorder(std::move(nest), step);
    case StepKind::kTile:
      return set_role(std::move(nest), step, Role::kTile);
    case StepKind::kLanes:
      return set_role(std::move(nest), step, Role::kLanes);
    case StepKind::kUnroll:
      return set_role(std::move(nest), step, Role::kUnroll);
    case StepKind::kTail:
      return tail(std::move(nest), step);
    case StepKind::kWide:
      return wide(std::move(nest), step);
    case StepKind::kStage:
      return stage(std::move(nest), step);
    case StepKind::kLift:
      return lift(std::move(nest), step);
    case StepKind::kNear:
      return near(std::move(nest), step);
    case StepKind::kBlend:
      return blend(std::move(nest), step);
    case StepKind::kRagged:
      return ragged(std::move(nest), step);
    case StepKind::kSlide:
      return slide(std::move(nest), step);
    case StepKind::kStream:
    case StepKind::kPrefetch:
    case StepKind::kReadAhead:
      return hint(std::move(nest), step, *hint_of(step.kind));
    case StepKind::kPanel:
      return panel(std::move(nest), step);
  }
  return nest;
}

}  // namespace

std::vector<int64_t> numbers_of(const LoopNest& nest, StepKind step) {
  const Inside form = inside_of(nest);
  switch (step) {
    case StepKind::kStage:
      return {nest.staged() == nullptr ? 0 : nest.staged()->apart};
    case StepKind::kLift:
      return {form.tiles, form.worth};
    case StepKind::kNear:
      return {form.chunk};
    case StepKind::kStream:
    case StepKind::kPrefetch:
    case StepKind::kReadAhead: {
      const Hint* hint = nest.hint(*hint_of(step));
      return {hint == nullptr ? 0 : hint->number};
    }
    default:
      return {};
  }
}

void set_numbers(LoopNest& nest, StepKind step, const std::vector<int64_t>& numbers) {
  if (numbers.empty()) return;
  Inside form = inside_of(nest);
  for (Loop& loop : nest.loops) {
    if (step == StepKind::kStage && loop.copies_in) loop.apart = numbers[0];
  }
  for (Hint& hint : nest.hints) {
    if (hint.kind == hint_of(step)) hint.number = numbers[0];
  }
  if (step == StepKind::kLift) form.tiles = numbers[0], form.worth = numbers[1];
  if (step == StepKind::kNear) form.chunk = numbers[0];
  if (form.vectors > 0) nest.inside = inside_loops(nest, form);
}

Result<LoopNest> apply(LoopNest nest, const Step& step) {
  const Inside form = inside_of(nest);
  auto rewritten = rewrite(std::move(nest), step);
  if (rewritten) {
    // The part inside has what the loops outside it have over groups, filters, taps and channels.
    if (form.vectors > 0 && !is_inside_step(step.kind)) rewritten->inside = inside_loops(*rewritten, form);
    set_numbers(*rewritten, step.kind, step.numbers);
  }
  if (!rewritten) return fail(fmt::format("Schedule step '{}': {}.", print(step), rewritten.error().message));
  if (auto ok = verify(*rewritten); !ok)
    return fail(fmt::format("Schedule step '{}': {}", print(step), ok.error().message));
  return rewritten;
}

Result<LoopNest> apply(LoopNest nest, const Schedule& schedule) {
  for (const Step& step : schedule) {
    auto next = apply(std::move(nest), step);
    if (!next) return next;
    nest = std::move(*next);
  }
  return nest;
}

}  // namespace convsmith::ir
