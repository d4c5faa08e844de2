#include "codegen/lower/lower.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/lower/lowerer.hpp"
#include "codegen/programs/vmath.hpp"
#include "frontend/base/check.hpp"
#include "ir/nest/band.hpp"
#include "ir/nest/nest_verify.hpp"

namespace convsmith {

namespace lowering {

using ir::HintKind;
using ir::Loop;
using ir::Role;
using ir::TailStrategy;

namespace {

constexpr int64_t kMostLines = 64;       // of read_ahead
constexpr int64_t kMostChunk = 1 << 20;  // steps of near

char letter(Dim dim) {
  return ir::kDimLetters[static_cast<size_t>(dim)];
}

tl::unexpected<Error> refuse(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, fmt::format("This schedule can't be compiled: {}.", what));
}

}  // namespace

Lowerer::Lowerer(const ir::LoopNest& nest, const Target& target, std::string name)
    : nest_(nest),
      p_(nest.problem),
      target_(target),
      b_(std::move(name), target.lanes),
      lanes_(ir::lanes_dim(nest).value()),
      layout_(ir::pack_layout(nest)),
      parallel_(ir::parallel_blocks(nest)),
      loops_(&nest.loops),
      inside_(ir::inside_of(nest)) {
  CONVSMITH_CHECK(tail().strategy != TailStrategy::kOpen, "a nest has open numbers");
  tile_steps_ = ir::innermost_step(nest.loops, Dim::kStep);
  row_distance_ = nest.row_distance();
  unroll_ = ir::innermost_step(nest.loops, nest.fused() ? Dim::kReduction : Dim::kChannel);
  in_bytes_ = bytes_of(p_.in_element);
  out_bytes_ = bytes_of(p_.out_element);
  skews_ = inside_.skewed || ir::skews(nest.loops);
  near_ = inside_.vectors > 0 && !inside_.far;
  shared_rows_ = nest.shared_rows();
  joins_rows_ = ir::joins_rows(nest);
  const auto number = [&](HintKind kind) {
    const ir::Hint* hint = nest.hint(kind);
    return hint == nullptr ? std::nullopt : std::optional(hint->number);
  };
  nontemporal_above_ = number(HintKind::kNontemporal);
  prefetch_share_ = number(HintKind::kPrefetchWeights);
  prefetch_within_ = number(HintKind::kPrefetchInput);
  finishes_sums_ = is_cheap(p_.activation) && is_cheap(p_.after);
  const bool channels_last = p_.layout == Layout::kChannelsLast;
  in_row_ = in_bytes_ * (channels_last ? p_.in_pitch() : 1);
  out_row_ = out_bytes_ * (channels_last ? p_.out_pitch() : 1);
  operand_row_ = out_bytes_ * (channels_last ? p_.operand_pitch() : p_.operand_has_steps ? 1 : 0);
  if (nest.staged() != nullptr || (near_ && p_.channels > 1)) x1_ = *ir::find_buffer(ir::buffers(nest), "x1");
  if (const ir::Loop* staged = nest.staged()) slab_steps_ = staged->step;
}

Result<void> Lowerer::check() const {
  for (size_t i = 0; i < nest_.loops.size(); ++i) {
    const Loop& l = nest_.loops[i];
    if (l.role == Role::kLanes && ir::loop_extent(nest_, i) != lanes()) {
      return refuse(fmt::format("the lanes loop must have {} iterations on {}", lanes(), target_.name));
    }
    if (l.role == Role::kTile && l.dim != lanes_ &&
        l.dim != (lanes_over_steps() ? Dim::kFilter : Dim::kStep)) {
      return refuse(fmt::format("a tile over {} does not fit these lanes", letter(l.dim)));
    }
    const bool splits_taps = l.dim == Dim::kTap && l.step != 1;
    const bool splits_twice = (l.dim == Dim::kChannel || l.dim == Dim::kReduction) &&
                              l.role == Role::kSerial && l.step == 1 && !first_loop_of(i);
    if (splits_taps || splits_twice)
      return refuse("the reduction may only be split once, over channels, to unroll it");
  }
  const int64_t reduction = p_.group_channels();
  if (reduction % unroll_ != 0) {
    return refuse(
        fmt::format("the reduction is unrolled by {}, which does not divide the {} channels of a group",
                    unroll_, reduction));
  }
  const int64_t tile_units =
      ir::innermost_step(nest_.loops, layout_.units_are_groups ? Dim::kGroup : Dim::kFilter);
  if (nest_.packed_by != 0 && tile_units % nest_.packed_by != 0 && tile_units < layout_.units)
    return refuse(
        fmt::format("a tile of {} is no whole number of panels of {}", tile_units, nest_.packed_by));
  if (!lanes_over_steps() && nest_.packed_by % lanes() != 0)
    return refuse(fmt::format("a panel of {} is no whole number of vectors", nest_.packed_by));
  if (auto ok = check_tail(); !ok) return ok;
  if (skews_ && inside_.vectors > 0) {
    const int64_t sums = p_.taps * p_.filters;
    if (layout_.row_bytes(p_.filters) * p_.taps * p_.channels > kMaxOffset)
      return refuse("the weights of the taps lie too far apart for one tile");
    const bool whole = p_.channels % lanes() == 0 && inside_.vectors * p_.filters % lanes() == 0;
    if (!whole || layout_.block < p_.filters || sums > most_lifted_sums(p_, target_)) {
      return refuse(fmt::format(
          "'slide' with 'lift' needs channels, and the sums of the lifted steps, in whole vectors, "
          "one block of filters, and at most {} sums, taps x filters, in registers",
          most_lifted_sums(p_, target_)));
    }
  } else if (skews_) {
    const int64_t products = shared_rows_ > 0 ? tile_steps_ / shared_rows_ * p_.taps * p_.group_channels()
                                              : tile_steps_ * p_.taps * (tile_units / lanes());
    if (products > kMostWrittenOut)
      return refuse(
          fmt::format("'slide' writes out the {} products of a tile; at most {}", products, kMostWrittenOut));
  }
  const int64_t lifted = inside_.vectors * lanes();
  if (inside_.tiles * inside_.vectors > ir::kMostLiftedSteps)
    return refuse(
        fmt::format("'lift' turns blocks of at most {} steps of a lane together", ir::kMostLiftedSteps));
  if (near_ && (inside_.chunk % lifted != 0 || inside_.chunk > kMostChunk))
    return refuse(
        fmt::format("a chunk of 'near' is whole tiles of {} steps, at most {} steps", lifted, kMostChunk));
  if (prefetch_within_.value_or(0) > kMostLines)
    return refuse(fmt::format("'read_ahead' asks for at most {} lines with each product", kMostLines));
  if (lanes_over_steps() && tile_steps_ % lanes() != 0) return refuse("a step tile must be whole vectors");
  // The farthest offset that a tile or a transpose addresses.
  const int64_t rows = lanes_over_steps() ? std::max(tile_steps_, lanes()) : tile_steps_ * row_distance_;
  const int64_t reach = skews_ ? p_.taps * p_.dilation : 0;
  if ((rows > 1 && (rows * p_.stride + reach) * in_row_ > kMaxOffset) || rows * out_row_ > kMaxOffset ||
      rows * operand_row_ > kMaxOffset || (slab_steps_ > 0 && lanes() * x1_->stride_bytes(0) > kMaxOffset) ||
      unroll_ * layout_.block * bytes_of(layout_.element) > kMaxOffset ||
      layout_.offset_bytes(tile_units) > kMaxOffset) {
    return refuse("rows of the input or output lie too far apart for one tile");
  }
  return {};
}

Result<void> Lowerer::check_tail() const {
  bool makes_single = tile_heights().back() == 1;
  for (size_t i = 0; i < nest_.loops.size(); ++i) {
    const Loop& l = nest_.loops[i];
    if (l.wide > 1 && !ir::may_be_wide(nest_, i))
      return refuse(fmt::format("'wide' is for the innermost loop over {} outside the tile", letter(lanes_)));
    const int64_t units = l.wide * ir::innermost_step(nest_.loops, lanes_);
    if (l.wide > 1 && (units / lanes() > ir::kMostSums || layout_.offset_bytes(units) > kMaxOffset))
      return refuse(
          fmt::format("{} blocks of {} are too many for one tile", l.wide, ir::loop_name(loops(), i)));
    const bool is_tail_loop = l.dim == Dim::kStep && l.role == Role::kSerial && l.step == tile_steps_;
    if (l.wide > 1 && serial_inside(i, Dim::kStep)) makes_single = true;
    if (l.dim == Dim::kStep && l.tail.strategy != TailStrategy::kOpen && !is_tail_loop)
      return refuse(
          fmt::format("'tail' is for the innermost loop over o, not for {}", ir::loop_name(loops(), i)));
  }
  const ir::Tail& tail = this->tail();
  if (!tail.sizes.empty() && tail.sizes.front() >= tile_steps_)
    return refuse(fmt::format("a tail of {} steps is no smaller than the tile", tail.sizes.front()));
  if ((tail.strategy == TailStrategy::kMask) != lanes_over_steps())
    return refuse("a tail of masked vectors is for lanes over steps, and those have no other");
  if (lanes_over_steps()) {
    const bool whole =
        std::all_of(tail.sizes.begin(), tail.sizes.end(), [&](int64_t size) { return size % lanes() == 0; });
    return whole ? Result<void>{} : refuse("a tail of lanes over steps is in whole vectors");
  }
  if (tail.strategy == TailStrategy::kShift && !ir::tiles_may_overlap(nest_))
    return refuse(
        "a tail is shifted where tiles may overlap: products, no operand, rows that are neighbours");
  if (!makes_single) return refuse("a tail ends with tiles of one step, but where 'wide' makes those");
  return {};
}

Result<vir::Program> Lowerer::run() {
  if (auto ok = check(); !ok) return tl::unexpected(ok.error());
  prologue();
  Cover cover;
  cover.groups = p_.groups;
  cover.filters = p_.group_filters();
  const I pad = b_.arg_int(Arg::kPadLeft);
  const I before = b_.imulc(pad, -in_row_);
  const P in = b_.padd(b_.arg_ptr(Arg::kIn), before);
  Cursor at{in, b_.arg_ptr(Arg::kOut), b_.arg_ptr(Arg::kWeights)};
  if (p_.combine != Combine::kNone) at.operand = b_.arg_ptr(Arg::kOperand);
  if (nontemporal_above_) decide_stream();
  if (joins_rows_) repeat_weights();
  loop(0, at, cover);
  if (nontemporal_above_) b_.fence();
  return b_.take();
}

// Where this call's outputs go: past the caches, if there are more of them than a core may hope to keep
// there. Parts of lines can't: lines that wait in memory are asked for before they are written.
void Lowerer::decide_stream() {
  constexpr int64_t kLine = 64;
  const I begin = b_.arg_int(Arg::kStepBegin);
  const I steps = b_.isub(b_.arg_int(Arg::kStepEnd), begin);
  const I first = b_.arg_int(Arg::kSampleBegin);
  const I samples = b_.isub(b_.arg_int(Arg::kSampleEnd), first);
  const I bytes = b_.imulc(b_.imul(steps, samples), out_bytes_ * p_.filters);
  const auto past_line = [&](I address) {
    return b_.isub(address, b_.imulc(b_.idivc(address, kLine), kLine));
  };
  const I out = past_line(b_.pint(b_.arg_ptr(Arg::kOut)));
  const I sample = past_line(b_.imulc(b_.arg_int(Arg::kOutSample), out_bytes_));
  const I past = b_.iadd(out, sample);
  streams_ = b_.iconst(kKeeps);
  const I kept = b_.iconst(*nontemporal_above_);
  b_.if_less(kept, bytes, "large", [&] {
    const I one = b_.iconst(1);
    b_.iconst(*streams_, kAsks);
    b_.if_less(past, one, "aligned", [&] { b_.iconst(*streams_, kStreams); });
  });
}

void Lowerer::prologue() {
  const bool channels_last = p_.layout == Layout::kChannelsLast;
  if (channels_last) {
    in_channel_.bytes = in_bytes_;
    out_channel_.bytes = out_bytes_;
    operand_channel_.bytes = p_.operand_has_channels ? out_bytes_ : 0;
  } else {
    in_channel_.reg = b_.imulc(b_.arg_int(Arg::kInChannel), in_bytes_);
    out_channel_.reg = b_.imulc(b_.arg_int(Arg::kOutChannel), out_bytes_);
    const bool varies = p_.combine != Combine::kNone && p_.operand_has_channels;
    if (varies) operand_channel_.reg = b_.imulc(b_.arg_int(Arg::kOperandChannel), out_bytes_);
  }
  memory_.in_item = in_channel_;
  if (slab_steps_ > 0) decide_stage();
  memory_.out_item = out_channel_;
  memory_.in_tap = p_.dilation * (slab_steps_ > 0 ? in_bytes_ : in_row_);
  memory_.in_vector = memory_.out_vector = b_.vector_bytes();
  memory_.by_phase = slab_steps_ > 0 && p_.stride > 1;
  if (inside_.vectors > 0) b_.set_scratch_bytes(lifted_scratch());
  if (joins_rows_) b_.set_scratch_bytes(joined_scratch());
  if (slab_steps_ > 0) b_.set_scratch_bytes(x1_->bytes());
}

bool Lowerer::first_loop_of(size_t i) const {
  return std::none_of(loops().begin(), loops().begin() + static_cast<std::ptrdiff_t>(i),
                      [&](const Loop& l) { return l.dim == loops()[i].dim && !ir::is_band(l.role); });
}

bool Lowerer::serial_inside(size_t i, Dim dim) const {
  return ir::has_inside(loops(), i, dim, Role::kSerial);
}

P Lowerer::moved(P p, I count, const Stride& stride) {
  if (!stride.reg && stride.bytes == 0) return b_.pcopy(p);
  return b_.padd(p, stride.reg ? b_.imul(count, *stride.reg) : b_.imulc(count, stride.bytes));
}

void Lowerer::advance(P p, const Stride& stride) {
  if (stride.reg) {
    b_.padd(p, p, *stride.reg);
  } else if (stride.bytes != 0) {
    b_.paddc(p, p, stride.bytes);
  }
}

Cursor Lowerer::moved(const Cursor& at, I count, const CursorStride& stride) {
  Cursor to{moved(at.in, count, stride.in), moved(at.out, count, stride.out), at.weights, at.operand};
  if (stride.weights.reg || stride.weights.bytes != 0) to.weights = moved(at.weights, count, stride.weights);
  if (at.operand) to.operand = moved(*at.operand, count, stride.operand);
  return to;
}

Cursor Lowerer::copied(const Cursor& at) {
  Cursor copy{b_.pcopy(at.in), b_.pcopy(at.out), at.weights, at.operand};
  if (at.operand) copy.operand = b_.pcopy(*at.operand);
  return copy;
}

void Lowerer::advance(const Cursor& at, const CursorStride& stride) {
  advance(at.in, stride.in);
  advance(at.out, stride.out);
  advance(at.weights, stride.weights);
  if (at.operand) advance(*at.operand, stride.operand);
}

CursorStride Lowerer::steps_stride(int64_t steps) const {
  const int64_t in_step = memory_.in_slab ? in_bytes_ : p_.stride * in_row_;
  return {{steps * in_step, {}}, {steps * out_row_, {}}, {}, {steps * operand_row_, {}}};
}

Stride Lowerer::times(const Stride& stride, int64_t n) {
  if (stride.reg) return {0, n == 1 ? *stride.reg : b_.imulc(*stride.reg, n)};
  return {stride.bytes * n, {}};
}

void Lowerer::loop(size_t i, const Cursor& at, const Cover& cover) {
  const Loop& l = loops()[i];
  if (l.role == Role::kGuard) return guarded_steps(i, at, cover);
  if (l.role == Role::kBand) return band_loop(i, at, cover);
  if (l.role != Role::kSerial) return tile(at, cover);
  switch (l.dim) {
    case Dim::kSample:
      return sample_loop(i, at, cover);
    case Dim::kGroup:
    case Dim::kFilter:
      return block_loop(i, at, cover);
    case Dim::kStep:
      return serial_inside(i, Dim::kStep) ? chunk_loop(i, at, cover) : step_loop(i, at, cover);
    default:
      return tile(at, cover);
  }
}

void Lowerer::sample_loop(size_t i, const Cursor& at, const Cover& cover) {
  const I begin = b_.arg_int(Arg::kSampleBegin);
  const I count = b_.isub(b_.arg_int(Arg::kSampleEnd), begin);
  CursorStride sample;
  sample.in.reg = b_.imulc(b_.arg_int(Arg::kInSample), in_bytes_);
  sample.out.reg = b_.imulc(b_.arg_int(Arg::kOutSample), out_bytes_);
  if (at.operand) sample.operand.reg = b_.imulc(b_.arg_int(Arg::kOperandSample), out_bytes_);
  const Cursor here = moved(at, begin, sample);
  b_.loop(count, "n", [&] {
    if (joins_rows_ && here.operand) repeat_operand(*here.operand);
    loop(i + 1, here, cover);
    advance(here, sample);
  });
}

// A loop over groups or filters. The outermost one over the parallel dimension covers the blocks that the
// call asks for.
void Lowerer::block_loop(size_t i, const Cursor& at, const Cover& cover) {
  const Loop& l = loops()[i];
  const bool groups = l.dim == Dim::kGroup;
  const int64_t extent = groups ? cover.groups : cover.filters;
  const bool parallel = l.dim == parallel_.dim && first_loop_of(i);
  Blocks blocks{i, extent / l.step, extent % l.step, {}, {}};
  const bool makes_single_steps = l.wide > 1 && serial_inside(i, Dim::kStep);
  if (!parallel && blocks.whole == 1 && blocks.rest == 0 && !makes_single_steps)
    return block(i, at, cover, l.step);
  blocks.begin = parallel ? b_.arg_int(Arg::kBlockBegin) : b_.iconst(0);
  blocks.end = parallel ? b_.arg_int(Arg::kBlockEnd) : b_.iconst(blocks.whole + (blocks.rest > 0 ? 1 : 0));
  if (l.wide <= 1) return all_blocks(blocks, at, cover, 1);
  if (!serial_inside(i, Dim::kStep)) return all_blocks(blocks, at, cover, cover.steps == 1 ? l.wide : 1);
  // Steps that are too few for a tile come last, one by one for all blocks, wide tiles in place of high ones.
  const I left = b_.isub(*cover.step_end, *cover.step_begin);
  const std::vector<int64_t> heights = tile_heights();
  if (tail().strategy == TailStrategy::kShift) {
    const I few = b_.iconst(heights.back() - 1);
    b_.if_less(few, left, "high", [&] { b_.iconst(left, 0); });
  } else {
    for (const int64_t height : heights)
      b_.icopy(left, b_.isub(left, b_.imulc(b_.idivc(left, height), height)));
  }
  Cover tiles = cover;
  tiles.step_end = b_.isub(*cover.step_end, left);
  all_blocks(blocks, at, tiles, 1);
  const I begun = b_.isub(*tiles.step_end, *cover.step_begin);
  const Cursor here = moved(at, begun, steps_stride(1));
  Cover single = cover;
  single.steps = 1;
  single.step = b_.icopy(*tiles.step_end);
  b_.loop(left, "o.1", [&] {
    all_blocks(blocks, here, single, l.wide);
    b_.iaddc(*single.step, *single.step, 1);
    advance(here, steps_stride(1));
  });
}

// One block or several neighbouring ones, of `count` groups or filters.
void Lowerer::block(size_t i, const Cursor& at, const Cover& cover, int64_t count) {
  Cover inner = cover;
  (loops()[i].dim == Dim::kGroup ? inner.groups : inner.filters) = count;
  if (cover.steps == 1 && serial_inside(i, Dim::kStep)) return tile(at, inner);
  loop(i + 1, at, inner);
}

CursorStride Lowerer::block_stride(size_t i, const Cover& cover) {
  const Loop& l = loops()[i];
  const bool groups = l.dim == Dim::kGroup;
  const bool units = !groups || layout_.units_are_groups;
  const bool in_tile = cover.steps > 0;
  const int64_t filters = groups ? l.step * p_.group_filters() : l.step;
  CursorStride stride;
  if (groups)
    stride.in =
        times(in_tile || memory_.in_slab ? memory_.in_item : in_channel_, l.step * p_.group_channels());
  stride.out = times(in_tile ? memory_.out_item : out_channel_, filters);
  stride.weights.bytes =
      bytes_of(layout_.element) * (units ? l.step / layout_.block * layout_.block_floats(layout_.block)
                                         : l.step * layout_.outer_floats());
  if (p_.combine != Combine::kNone) stride.operand = times(operand_channel_, filters);
  return stride;
}

// The weights of a whole tile, from one block to the next.
int64_t Lowerer::block_bytes() const {
  const int64_t units = ir::innermost_step(loops(), lanes_);
  return bytes_of(layout_.element) * (units / layout_.block) * layout_.block_floats(layout_.block);
}

// `wide` blocks at a time as long as there are so many, then single ones, then the smaller last one.
void Lowerer::all_blocks(const Blocks& blocks, const Cursor& at, const Cover& cover, int64_t wide) {
  const int64_t step = loops()[blocks.loop].step;
  const std::string name = ir::loop_name(loops(), blocks.loop);
  const CursorStride stride = block_stride(blocks.loop, cover);
  const Cursor here = moved(at, blocks.begin, stride);
  if (blocks.whole > 0) {
    const I count = b_.isub(b_.imin(blocks.end, b_.iconst(blocks.whole)), blocks.begin);
    if (wide > 1) {
      const CursorStride wide_stride{times(stride.in, wide), times(stride.out, wide),
                                     times(stride.weights, wide), times(stride.operand, wide)};
      const I most = b_.iconst(wide - 1);
      b_.while_less(most, count, name + ".wide", [&] {
        block(blocks.loop, here, cover, wide * step);
        advance(here, wide_stride);
        b_.iaddc(count, count, -wide);
      });
    }
    b_.loop(count, name, [&] {
      block(blocks.loop, here, cover, step);
      advance(here, stride);
    });
  }
  if (blocks.rest > 0) {
    // Not for a call that begins and ends behind it.
    const I first = b_.imax(blocks.begin, b_.iconst(blocks.whole));
    b_.if_less(first, blocks.end, name + ".rest", [&] { block(blocks.loop, here, cover, blocks.rest); });
  }
}

// All steps as one run: `in` is the position of tap 0, which may lie outside the input.
void Lowerer::guarded_steps(size_t i, const Cursor& at, const Cover& cover) {
  Cover inner = cover;
  inner.step_begin = b_.arg_int(Arg::kStepBegin);
  inner.step_end = b_.arg_int(Arg::kStepEnd);
  const I pad = b_.arg_int(Arg::kPadLeft);
  inner.input_steps = b_.arg_int(Arg::kSteps);
  inner.pad_left = pad;
  VirInts z{b_};
  inner.inside_begin = z.divc(z.addc(pad, p_.stride - 1), p_.stride);
  const I last = z.addc(z.add(*inner.input_steps, pad), -(p_.taps - 1) * p_.dilation - 1);
  inner.inside_end = z.addc(z.divc(last, p_.stride), 1);
  if (inside_.vectors > 0) return lifted_band(i + 1, at, inner);
  loop(i + 1, moved(at, *inner.step_begin, steps_stride(1)), inner);
}

void Lowerer::band_loop(size_t i, const Cursor& at, const Cover& cover) {
  const I o = b_.icopy(b_.arg_int(Arg::kStepBegin));
  const I o_end = b_.arg_int(Arg::kStepEnd);
  b_.while_less(o, o_end, "band", [&] {
    VirInts z{b_};
    const I steps = b_.arg_int(Arg::kSteps);
    const I pad = b_.arg_int(Arg::kPadLeft);
    const ir::Band<I> band = ir::band_at(z, p_, o, o_end, steps, pad);
    Cover inner = cover;
    inner.step_begin = o;
    inner.step_end = band.end;
    inner.tap_begin = band.tap_begin;
    inner.tap_count = b_.isub(band.tap_end, band.tap_begin);
    const I first = b_.imulc(o, p_.stride);
    const I position = b_.iadd(first, b_.imulc(band.tap_begin, p_.dilation));
    Cursor here{moved(at.in, position, {in_row_, {}}), moved(at.out, o, {out_row_, {}}), at.weights, {}};
    if (at.operand) here.operand = moved(*at.operand, o, {operand_row_, {}});
    loop(i + 1, here, inner);
    b_.icopy(o, band.end);
  });
}

}  // namespace lowering

int64_t most_lifted_sums(const Problem& problem, const Target& target) {
  return target.vector_registers - std::max(8, vmath::cost(problem.activation).live_registers);
}

Result<vir::Program> lower(const ir::LoopNest& nest, const Target& target, std::string name) {
  if (auto ok = ir::verify_lowerable(nest); !ok) return tl::unexpected(ok.error());
  return lowering::Lowerer(nest, target, std::move(name)).run();
}

}  // namespace convsmith
