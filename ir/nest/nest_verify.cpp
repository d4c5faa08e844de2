#include "ir/nest/nest_verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace convsmith::ir {

namespace {

tl::unexpected<Error> fail(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, fmt::format("Loop nest: {}.", what));
}

// The loops over one dimension, from the outside in, as far as they are seen.
struct Chain {
  int count = 0;
  int64_t step = 0;  // of the last one
  Role role = Role::kSerial;
};

Result<void> extend(Chain& chain, const Loop& loop) {
  const char letter = kDimLetters[static_cast<size_t>(loop.dim)];
  if (is_band(loop.role)) {
    if (loop.dim != Dim::kStep || chain.count > 0)
      return fail("a band loop runs over o and stands outside the other loops over o");
    return {};
  }
  if (loop.step < 1 || loop.step > kMostOfStep)
    return fail(
        fmt::format("a loop over {} has step {}; it must be 1 to {}", letter, loop.step, kMostOfStep));
  const bool may_be_wide = loop.dim == Dim::kFilter || loop.dim == Dim::kGroup;
  if (loop.wide < 0 || loop.wide > (may_be_wide ? kMostWide : 0))
    return fail(fmt::format("a loop over {} has wide {}; loops over f and g may have 1 to {}", letter,
                            loop.wide, kMostWide));
  if (chain.count > 0 && (chain.step % loop.step != 0 || chain.step == loop.step)) {
    return fail(
        fmt::format("a loop over {} with step {} stands inside one with step {}, which is no larger multiple",
                    letter, loop.step, chain.step));
  }
  if (chain.role == Role::kLanes || chain.role == Role::kUnroll)
    return fail(fmt::format("a loop over {} stands inside its lanes or unroll loop", letter));
  chain = {chain.count + 1, loop.step, loop.role};
  return {};
}

Result<void> verify_whole(const Chain& chain, Dim dim, bool fused) {
  const char letter = kDimLetters[static_cast<size_t>(dim)];
  if (is_reduction(dim) && (dim == Dim::kReduction) != fused)
    return chain.count == 0 ? Result<void>{}
                            : fail(fmt::format("{} runs beside the fused reduction", letter));
  if (chain.count == 0) return fail(fmt::format("no loop runs over {}", letter));
  if (chain.step != 1)
    return fail(fmt::format("the innermost loop over {} has step {}; it must be 1", letter, chain.step));
  return {};
}

// The chain of one output is in ascending (tap, channel) order when every tap loop stands outside
// every channel loop: splitting alone never changes the order of one dimension.
Result<void> verify_strict_order(const LoopNest& nest) {
  bool channel_seen = false;
  for (const Loop& loop : nest.loops) {
    if (loop.dim == Dim::kChannel && loop.role != Role::kUnroll) channel_seen = true;
    if (loop.dim == Dim::kTap && channel_seen) {
      return fail("a tap loop stands inside a channel loop, which would change the order of the sum");
    }
    if (is_reduction(loop.dim) && (loop.role == Role::kLanes || loop.role == Role::kTile)) {
      return fail("the reduction can't be split over lanes or accumulators");
    }
    if (!is_reduction(loop.dim) && loop.role == Role::kUnroll) return fail("only the reduction is unrolled");
  }
  return {};
}

// A far lane's positions and its steps are each one run of floats.
bool can_lift(const LoopNest& nest) {
  const Problem& p = nest.problem;
  const bool is_dense = p.in_pitch() == p.channels && p.out_pitch() == p.filters;
  return lanes_dim(nest) == Dim::kFilter && nest.guarded() && p.combine == Combine::kNone &&
         (is_dense || !inside_of(nest).far) && extent_inside_steps(nest, Dim::kGroup) == p.groups &&
         extent_inside_steps(nest, Dim::kFilter) == p.group_filters();
}

bool can_skew_inside(const LoopNest& nest) {
  const Problem& p = nest.problem;
  return nest.shared_rows() == 0 && p.groups == 1 && p.stride == 1 && p.dilation == 1 && !p.starts_from_bias;
}

// Rows that share vectors are neighbours, and have no vector beside the shared one.
bool can_skew_shared(const LoopNest& nest) {
  return nest.shared_rows() > 0 && nest.inside.empty() && nest.row_distance() == 1 &&
         nest.problem.group_filters() < lane_count(nest);
}

// Of a loop that is written out; the schedule steps that make such loops have the same limit.
constexpr int64_t kMostIterations = 64;
// Of all loops together: no cache has room for so much code.
constexpr int64_t kMostProducts = 8192;

Result<void> verify_iterations(const LoopNest& nest) {
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& loop = nest.loops[i];
    if (loop.role == Role::kSerial || loop.role == Role::kSkew || is_band(loop.role)) continue;
    const auto extent = loop_extent(nest, i);
    if (!extent) return fail(fmt::format("loop '{}' must have constant extent", loop_name(nest.loops, i)));
    if (*extent / loop.step > kMostIterations) {
      return fail(fmt::format("loop '{}' has {} iterations; written out are at most {}",
                              loop_name(nest.loops, i), *extent / loop.step, kMostIterations));
    }
  }
  return {};
}

Result<void> verify_written_out(const LoopNest& nest) {
  int64_t sums = 1;
  int64_t products = 1;
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& loop = nest.loops[i];
    if (loop.role != Role::kTile && loop.role != Role::kUnroll) continue;
    const int64_t iterations = (*loop_extent(nest, i) + loop.step - 1) / loop.step;
    products *= iterations;
    if (loop.role == Role::kTile) sums *= iterations;
  }
  if (sums > kMostSums)
    return fail(fmt::format("a tile of {} sums is more than the {} that compile", sums, kMostSums));
  if (products <= kMostProducts) return {};
  return fail(fmt::format("{} products would be written out; {} compile", products, kMostProducts));
}

Result<void> verify_skew(const LoopNest& nest) {
  if (!skews(nest.loops)) return {};
  const auto first = std::find_if(nest.loops.begin(), nest.loops.end(),
                                  [](const Loop& loop) { return is_reduction(loop.dim); });
  const auto count = std::count_if(nest.loops.begin(), nest.loops.end(),
                                   [](const Loop& loop) { return loop.role == Role::kSkew; });
  if (nest.guarded() && count == 1 && first->role == Role::kSkew) return {};
  return fail("only the outermost loop over taps is skewed, below a guard ('ragged')");
}

Result<void> verify_inside(const LoopNest& nest) {
  if (nest.inside.empty()) return {};
  const Inside form = inside_of(nest);
  if (nest.guarded() && !skews(nest.loops) && form.vectors > 0 && form.vectors <= kMostLifted &&
      nest.inside == inside_loops(nest, form))
    return {};
  return fail("the part inside is none that 'lift', 'near' and 'slide' make of the loops below a guard");
}

// Tails of lanes, copies, hints and the packing of weights.
Result<void> verify_beside(const LoopNest& nest) {
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& loop = nest.loops[i];
    const bool is_tile_loop = loop.dim == Dim::kStep && loop.role == Role::kSerial;
    if ((loop.copies_in && !(is_tile_loop && nest.staged() == &loop)) || loop.copies_out || loop.apart < 0)
      return fail(
          fmt::format("nothing is copied with loop '{}'; the input may be, with one serial loop over o",
                      loop_name(nest.loops, i)));
    const TailStrategy tail = loop.tail.strategy;
    const bool shares = tail == TailStrategy::kShare;
    const bool of_lanes = shares || tail == TailStrategy::kJoin;
    if (of_lanes && (loop.role != Role::kLanes || loop.dim != (shares ? Dim::kFilter : Dim::kGroup)))
      return fail("rows share the last vector of lanes over f, and are joined for lanes over g");
    if (shares &&
        (loop.tail.sizes.size() != 1 || loop.tail.sizes[0] < 2 || loop.tail.sizes[0] > kMostBlended))
      return fail(fmt::format("2 to {} rows share a vector", kMostBlended));
    if (tail == TailStrategy::kOverlap || (!of_lanes && tail != TailStrategy::kOpen && !is_tile_loop))
      return fail(fmt::format("this tail does not suit loop '{}'", loop_name(nest.loops, i)));
  }
  for (const Hint& hint : nest.hints) {
    if (nest.hint(hint.kind) != &hint) return fail("a hint stands twice");
    if (hint.number < 0 || hint.number > kMostOfStep) return fail("the number of a hint is out of range");
  }
  if (nest.packed_by < 0 || nest.packed_by > kMostPanel)
    return fail(fmt::format("weights are packed in panels of 1 to {}", kMostPanel));
  return {};
}

}  // namespace

Result<void> verify(const LoopNest& nest) {
  std::array<Chain, kDimLetters.size()> chains{};
  bool plain = nest.inside.empty() && nest.hints.empty() && nest.packed_by == 0;
  for (const Loop& loop : nest.loops) {
    if (auto ok = extend(chains[static_cast<size_t>(loop.dim)], loop); !ok) return ok;
    plain = plain && loop.tail.strategy == TailStrategy::kOpen && loop.role != Role::kSkew &&
            !loop.copies_in && !loop.copies_out && loop.apart == 0;
  }
  const bool fused = nest.fused();
  for (size_t d = 0; d < chains.size(); ++d) {
    if (auto ok = verify_whole(chains[d], static_cast<Dim>(d), fused); !ok) return ok;
  }
  if (fused && !nest.cut())
    return fail("a fused reduction needs a band loop, since it can't skip single taps");
  if (!plain) {
    if (auto ok = verify_skew(nest); !ok) return ok;
    if (auto ok = verify_inside(nest); !ok) return ok;
    if (auto ok = verify_beside(nest); !ok) return ok;
  }
  if (auto ok = verify_iterations(nest); !ok) return ok;
  return verify_strict_order(nest);
}

namespace {

Result<void> verify_hints(const LoopNest& nest, Dim lanes) {
  const bool nontemporal = nest.hint(HintKind::kNontemporal) != nullptr;
  if (nontemporal && lanes == Dim::kStep) return fail("'stream' is for lanes over f or g");
  if (nontemporal && nest.problem.out_pitch() % 16 != 0)
    return fail("'stream' needs rows of a multiple of 16 floats");
  if (lanes == Dim::kFilter) return {};
  if (nest.hint(HintKind::kPrefetchWeights) != nullptr) return fail("'prefetch' is for lanes over f");
  if (nest.hint(HintKind::kPrefetchInput) != nullptr) return fail("'read_ahead' is for lanes over f");
  return {};
}

// Rows that share vectors, or are joined, or walked by input position.
Result<void> verify_shared(const LoopNest& nest, Dim lanes) {
  const bool skewed = inside_of(nest).skewed || skews(nest.loops);
  const bool can_skew = nest.inside.empty() ? can_skew_shared(nest) : can_skew_inside(nest);
  if (skewed && lanes != Dim::kGroup && !can_skew) {
    return fail(
        "'slide' is for lanes over g; with 'lift' for one group, stride and dilation 1; or with 'blend' "
        "where "
        "the filters of a group are one vector and the dilation divides the stride");
  }
  if (joins_rows(nest) && !can_join_rows(nest))
    return fail("the rows of these tiles are no run of memory ('tail join')");
  const int64_t rows = nest.shared_rows();
  if (rows > 0 && !can_blend(nest.problem, lane_count(nest), rows)) {
    return fail(fmt::format(
        "'blend {0}' is for lanes over f without an operand, where the filters of a group fill at "
        "most 1/{0} of the last vector, which is 4 or 8 lanes",
        rows));
  }
  return {};
}

Result<void> verify_inside_form(const LoopNest& nest) {
  if (nest.inside.empty()) return {};
  if (!can_lift(nest))
    return fail("'lift' is for lanes over f in dense arrays, with all groups and filters inside the steps");
  const Inside form = inside_of(nest);
  if (form.far) return {};
  if (form.skewed || !can_be_near(nest.problem, lane_count(nest))) {
    return fail(
        "'near' is for 'lift' without 'slide', with stride 1, taps that are not millions of steps apart, and "
        "one channel or at most 4096 and no more filters than lanes");
  }
  if (nest.problem.channels > 1 && nest.fused())
    return fail("'near' with several channels can't read them as one fused reduction");
  return {};
}

}  // namespace

Result<void> verify_lowerable(const LoopNest& nest) {
  if (auto ok = verify(nest); !ok) return ok;
  if (!nest.cut()) return fail("compiling needs a band loop ('cut o')");
  if (auto ok = verify_written_out(nest); !ok) return ok;
  const auto lanes = lanes_dim(nest);
  if (!lanes) return fail("compiling needs a lanes loop ('lanes f', 'lanes o' or 'lanes g')");
  if (*lanes != Dim::kFilter && *lanes != Dim::kStep && *lanes != Dim::kGroup)
    return fail("lanes run over f, o or g");
  const Problem& p = nest.problem;
  if (p.transposed) return fail("a transposed layer is compiled as its phases");
  if (*lanes == Dim::kGroup && (!p.is_channelwise() || p.layout != Layout::kChannelsLast)) {
    return fail("lanes over g need a depthwise, channels-last layer");
  }
  if (*lanes == Dim::kFilter && !p.has_weights()) return fail("lanes over f need weights");
  if (*lanes == Dim::kFilter && p.layout != Layout::kChannelsLast)
    return fail("lanes over f need channels-last");
  const bool one_float = p.in_pitch() == 1 && p.out_pitch() == 1 && p.operand_pitch() <= 1;
  if (*lanes == Dim::kStep && p.layout == Layout::kChannelsLast && !one_float)
    return fail("lanes over o need channels first, or arrays of one float a step");
  // Lanes over steps read neighbouring floats only where a step is one float in memory.
  const bool contiguous = p.stride == 1 && (p.layout == Layout::kChannelsFirst || p.in_pitch() == 1);
  const bool stages = nest.staged() != nullptr;
  if (stages && nest.fused()) return fail("a staged input can't be read as one fused reduction");
  if (*lanes == Dim::kStep && !contiguous && !stages) return fail("lanes over these steps need 'stage'");
  if (stages && (*lanes != Dim::kStep || (contiguous && p.layout == Layout::kChannelsLast)))
    return fail("'stage' is only for lanes over steps, and not for a single channel of neighbouring steps");
  if (nest.guarded() && (*lanes == Dim::kStep || !p.has_weights()))
    return fail("'ragged' is for sums of products with lanes over f or g");
  if (auto ok = verify_hints(nest, *lanes); !ok) return ok;
  if (auto ok = verify_shared(nest, *lanes); !ok) return ok;
  if (auto ok = verify_inside_form(nest); !ok) return ok;
  if (nest.loops[0].dim != Dim::kSample || nest.loops[0].step != 1)
    return fail("compiling needs one loop over n, outside all others");
  int phase = 0;  // 0 serial output loops, 1 tile and lanes, 2 reduction
  for (const Loop& loop : nest.loops) {
    const int next = is_reduction(loop.dim)                                  ? 2
                     : loop.role == Role::kTile || loop.role == Role::kLanes ? 1
                                                                             : 0;
    if (next < phase)
      return fail("the order must be output loops, then tile and lanes loops, then the reduction");
    phase = next;
  }
  return {};
}

}  // namespace convsmith::ir
