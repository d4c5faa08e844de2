// One register tile: accumulators from +0 (from -inf for a maximum), then the reduction over the band's
// taps and all channels, in ascending order.
#include <limits>
#include <numeric>

#include "codegen/lower/lower.hpp"
#include "codegen/lower/lowerer.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::lowering {

namespace {
constexpr int64_t kLine = 64;  // bytes
// Products of a staged tile that are written out where it sees all taps: to work out where a tap lies among
// the phases of the stride takes as long as a few products.
constexpr int64_t kMostByPhase = 512;
// Windows of so many taps count them one by one, beside their sums; others by such digits, before.
constexpr int64_t kFewTaps = 64;
}  // namespace

void Lowerer::tile(const Cursor& at, const Cover& cover) {
  if (joins_rows_ && cover.steps > 1) return joined_tile(at, cover);
  Tile t;
  t.at = at;
  t.cover = cover;
  t.units = layout_.units_are_groups ? cover.groups : cover.filters;
  t.rows = lanes_over_steps() ? t.units : cover.steps;
  t.vectors = lanes_over_steps() ? cover.steps / lanes() : (t.units + lanes() - 1) / lanes();
  // Vectors over filters are read from padded weights, but beside lanes over steps. Of a staged vector what
  // lies beyond the valid steps is there, but means nothing: it could raise exceptions and be slow.
  if (lanes_over_steps() && cover.valid) t.mask = b_.first(*cover.valid);
  if (lanes_ == Dim::kGroup || (lanes_ == Dim::kFilter && layout_.pad == 1)) t.mask = unit_mask(t.units);
  decide_blend(t);
  if (may_stream(t)) ask_for_outputs(t);
  if (asks_weights(t)) begin_asking(t);
  begin_sums(t);
  if (nest_.guarded() && !memory_.lifted) {
    ragged(t);
  } else {
    reduce(t);
  }
  finish(t);
}

void Lowerer::begin_sums(Tile& t) {
  if (p_.reduce == Reduce::kMean) begin_count(t);
  const float start = p_.reduce == Reduce::kMax ? -std::numeric_limits<float>::infinity() : 0.0F;
  t.acc.reserve(static_cast<size_t>(t.rows * t.vectors));
  const auto begin = [&](int64_t row, int64_t vector) {
    t.acc.push_back(p_.starts_from_bias ? load_bias(t, row, vector) : b_.constant(start));
  };
  for (int64_t a = 0; a < t.rows; ++a) {
    for (int64_t v = 0; v < t.own_vectors(); ++v) begin(a, v);
  }
  if (t.blended == 1) return;
  for (int64_t a = 0; a < t.rows; a += t.blended) begin(a, t.vectors - 1);
}

std::optional<M> Lowerer::unit_mask(int64_t units) {
  if (units % lanes() == 0) return std::nullopt;
  return b_.first(b_.iconst(units % lanes()));
}

P Lowerer::tap_weights(const Tile& t, I tap) {
  if (!p_.has_weights()) return t.at.weights;
  const int64_t row = layout_.row_bytes(t.units);
  const P weights = moved(t.at.weights, tap, {p_.group_channels() * row, {}});
  if (p_.has_bias) b_.paddc(weights, weights, row);
  return weights;
}

void Lowerer::reduce(Tile& t) {
  const P weights = tap_weights(t, *t.cover.tap_begin);
  taps(t, b_.pcopy(t.at.in), weights, *t.cover.tap_count);
}

// Whether all products of a tile stand one after the other: where lifted lanes are neighbouring steps, so
// that the next tile's begin while this one's sums are turned.
bool Lowerer::writes_out(const Tile& t) const {
  const int64_t products = p_.taps * p_.group_channels() * t.rows * t.vectors;
  return near_ && memory_.lifted && products <= kMostWrittenOut;
}

// The same for the taps of a staged tile with a stride: where each lies among the phases would cost more to
// work out than its products.
bool Lowerer::writes_out_phases(const Tile& t) const {
  const int64_t products = p_.taps * p_.group_channels() * t.rows * t.vectors;
  return !t.count && products <= kMostByPhase && x1_->bytes() <= kMaxOffset;
}

void Lowerer::taps(Tile& t, P in, P weights, I count) {
  const int64_t row = layout_.row_bytes(t.units);
  if (writes_out(t)) {
    for (int64_t i = 0; i < p_.taps * p_.group_channels(); ++i) {
      const int64_t x =
          i / p_.group_channels() * memory_.in_tap + i % p_.group_channels() * memory_.in_item.bytes;
      item(t, in, x, weights, row * i, {0, t.rows, {}});
    }
    return;
  }
  if (nest_.fused()) {
    const int64_t ahead = in_bytes_ * ((t.rows * p_.stride * unroll_ + p_.taps - 1) / p_.taps);
    const auto next = next_inputs(t, in, (t.rows - 1) * p_.stride + p_.taps, ahead);
    b_.loop(b_.imulc(count, p_.group_channels() / unroll_), "r", [&] {
      if (next) ask_for(*next, ahead);
      if (asks_weights(t)) ask_for(*asked_, asked_bytes(t));
      for (int64_t j = 0; j < unroll_; ++j)
        item(t, in, memory_.in_item.bytes * j, weights, row * j, {0, t.rows, {}});
      advance(in, times(memory_.in_item, unroll_));
      advance(weights, {row * unroll_, {}});
    });
    return;
  }
  const bool phases = memory_.by_phase;
  if (phases && writes_out_phases(t)) {
    const I most = b_.iconst(p_.taps - 1);
    const I left = b_.icopy(count);
    b_.if_less(most, count, "all", [&] {
      for (int64_t i = 0; i < p_.taps * p_.group_channels(); ++i) {
        const int64_t position = i / p_.group_channels() * p_.dilation;
        const int64_t x = position % p_.stride * x1_->stride_bytes(0) +
                          i % p_.group_channels() * x1_->stride_bytes(1) +
                          position / p_.stride * x1_->stride_bytes(2);
        item(t, in, x, weights, row * i, {0, t.rows, {}});
      }
      b_.iconst(left, 0);
    });
    count = left;
  }
  const I tap = b_.iconst(0);  // counted from the first; used with phases only
  b_.loop(b_.icopy(count), "k", [&] {
    if (t.count && !t.whole_counts) b_.op(vir::Opcode::kAdd, *t.count, *t.count, b_.constant(1.0F));
    channels(t, phases ? tap_pointer(tap, in) : in, weights, {0, t.rows, {}}, unroll_);
    if (p_.has_weights()) advance(weights, {row * p_.group_channels(), {}});
    if (phases) {
      b_.iaddc(tap, tap, 1);
    } else {
      advance(in, {memory_.in_tap, {}});
    }
  });
}

// The input that `t` asks for in rounds of `bytes`, so many rows behind where it begins itself; none if it
// does not. Long strides skip most of what lies there.
std::optional<P> Lowerer::next_inputs(const Tile& t, P in, int64_t rows, int64_t bytes) {
  if (!prefetch_within_ || memory_.lifted || t.rows < tile_steps_) return std::nullopt;
  if (bytes > *prefetch_within_ * kLine) return std::nullopt;
  return b_.paddc(in, rows * in_row_);
}

// One round, in whole lines.
void Lowerer::ask_for(P next, int64_t bytes) {
  const int64_t lines = (bytes + kLine - 1) / kLine;
  for (int64_t i = 0; i < lines; ++i) b_.prefetch(next, kLine * i);
  b_.paddc(next, next, kLine * lines);
}

bool Lowerer::asks_weights(const Tile& t) const {
  return asked_ && t.rows == tile_steps_ && !memory_.lifted;
}

// In a round that reads `unroll_` rows of weights. A few tiles ask for the block together.
int64_t Lowerer::asked_bytes(const Tile& t) const {
  const int64_t lines = (unroll_ * layout_.width(t.units) * bytes_of(layout_.element) + kLine - 1) / kLine;
  return (lines + *prefetch_share_ - 1) / *prefetch_share_ * kLine;
}

// Tiles that come when all of the next block is asked for ask for their own, which is there.
void Lowerer::begin_asking(const Tile& t) {
  const I own = b_.pint(t.at.weights);
  const I asked = b_.isub(b_.pint(*asked_), own);
  const I last = b_.iconst(2 * block_bytes() - 1);
  b_.if_less(last, asked, "asked", [&] { b_.pcopy(*asked_, t.at.weights); });
}

// Of wide windows the count is there from the beginning, so that no sum waits for it: a float counts to 2^24
// by ones, and further by 4096.
void Lowerer::begin_count(Tile& t) {
  t.count = b_.constant(0.0F);
  if (p_.taps <= kFewTaps) return;
  t.whole_counts = b_.constant(0.0F);
  const auto count = [&](V sum, I times, int64_t by) {
    const V step = b_.constant(static_cast<float>(by));
    b_.loop(times, "count", [&] { b_.op(vir::Opcode::kAdd, sum, sum, step); });
  };
  const I high = b_.idivc(*t.cover.tap_count, kFewTaps * kFewTaps);
  const I low = b_.isub(*t.cover.tap_count, b_.imulc(high, kFewTaps * kFewTaps));
  const I middle = b_.idivc(low, kFewTaps);
  const I ones = b_.isub(low, b_.imulc(middle, kFewTaps));
  count(*t.whole_counts, high, kFewTaps * kFewTaps);
  count(*t.count, middle, kFewTaps);
  count(*t.count, ones, 1);
}

// Where the staged vectors of a tap begin: position tap*dilation lies in phase (that mod stride), at
// step (that div stride).
P Lowerer::tap_pointer(I tap, P slab) {
  const I position = b_.imulc(tap, p_.dilation);
  const I step = b_.idivc(position, p_.stride);
  const I phase = b_.isub(position, b_.imulc(step, p_.stride));
  return moved(moved(slab, step, {in_bytes_, {}}), phase, {x1_->stride_bytes(0), {}});
}

// All channels of one tap. `weights` and `in` are left as they are.
void Lowerer::channels(const Tile& t, P in, P weights, const Rows& rows, int64_t unroll) {
  const int64_t row = layout_.row_bytes(t.units);
  const auto items = [&](P x, P w) {
    for (int64_t j = 0; j < unroll; ++j) {
      if (memory_.in_item.reg) {
        item(t, x, 0, w, row * j, rows);
        if (p_.group_channels() > 1) advance(x, memory_.in_item);
      } else {
        item(t, x, memory_.in_item.bytes * j, w, row * j, rows);
      }
    }
  };
  const int64_t trips = p_.group_channels() / unroll;
  const bool all = rows.end - rows.begin == t.rows && !rows.seen;
  if (trips == 1 && all && asks_weights(t)) ask_for(*asked_, asked_bytes(t));
  if (trips == 1 && (!memory_.in_item.reg || p_.group_channels() == 1)) return items(in, weights);
  const P x = b_.pcopy(in);
  if (trips == 1) return items(x, weights);
  const P w = b_.pcopy(weights);
  const int64_t ahead = in_bytes_ * t.rows * p_.stride * unroll;
  const auto next = all ? next_inputs(t, in, t.rows * p_.stride, ahead) : std::nullopt;
  b_.loop(b_.iconst(trips), "c", [&] {
    if (next) ask_for(*next, ahead);
    if (all && asks_weights(t)) ask_for(*asked_, asked_bytes(t));
    items(x, w);
    if (!memory_.in_item.reg) advance(x, times(memory_.in_item, unroll));
    advance(w, {row * unroll, {}});
  });
}

// Weights or the bias of vector v of a tile's filters.
V Lowerer::load_units(const Tile& t, P weights, int64_t offset, int64_t v) {
  if (lanes_ != Dim::kFilter || !t.mask || v + 1 < t.vectors) return b_.load(weights, offset);
  const V some = b_.vec();
  b_.load(some, weights, offset, *t.mask);
  return some;
}

// What the rows of a tile share of one (tap, channel), vector v: steps where lanes run over them, else
// weights.
V Lowerer::shared_vector(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset,
                         int64_t v) {
  if (!lanes_over_steps()) {
    const int64_t offset = weight_offset + layout_.offset_bytes(v * lanes());
    return v < t.own_vectors() ? load_units(t, weights, offset, v) : load_shared(t, weights, offset);
  }
  const V x = b_.vec();
  if (t.mask) {
    b_.load(x, in, in_offset + v * memory_.in_vector, *t.mask);
  } else {
    b_.load(x, in, in_offset + v * memory_.in_vector);
  }
  return x;
}

// A wide tile keeps its inputs in registers, the others what their rows share.
bool Lowerer::is_wide(const Tile& t) const {
  return lanes_ == Dim::kFilter && t.rows < t.vectors && t.blended == 1;
}

// One (tap, channel): the vectors that several accumulators share are loaded first, the others one
// by one into the same register.
void Lowerer::item(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset,
                   const Rows& rows) {
  const int64_t count = rows.end - rows.begin;
  const bool all = count == t.rows && !rows.seen;
  if (is_wide(t) && all) return wide_item(t, in, in_offset, weights, weight_offset);
  std::vector<V> shared;
  shared.reserve(static_cast<size_t>(t.vectors));
  const bool shares = t.blended > 1 || (count > 1 && !is_wide(t));
  if (shares && (lanes_over_steps() || p_.has_weights())) {
    for (int64_t v = 0; v < t.vectors; ++v)
      shared.push_back(shared_vector(t, in, in_offset, weights, weight_offset, v));
  }
  if (t.blended > 1 && count > 1 && !rows.seen) return blended_rows(t, rows, in, in_offset, shared);
  const auto one_row = [&](int64_t a) {
    if (t.blended > 1) return blended_row(t, a, in, in_offset, shared);
    item_row(t, a, in, in_offset, weights, weight_offset, shared);
  };
  for (int64_t a = rows.begin; a < rows.end; ++a) {
    if (!rows.seen) {
      one_row(a);
      continue;
    }
    b_.within(rows.seen->position, a * row_distance_ * p_.stride, rows.seen->steps, [&] { one_row(a); });
  }
}

void Lowerer::wide_item(const Tile& t, P in, int64_t in_offset, P weights, int64_t weight_offset) {
  std::vector<V> inputs;
  inputs.reserve(static_cast<size_t>(t.rows));
  for (int64_t a = 0; a < t.rows; ++a) {
    inputs.push_back(b_.vec());
    b_.bcast(inputs.back(), in, in_offset + a * p_.stride * in_row_);
  }
  for (int64_t v = 0; v < t.vectors; ++v) {
    const V weight = shared_vector(t, in, in_offset, weights, weight_offset, v);
    for (int64_t a = 0; a < t.rows; ++a) {
      const V acc = t.sum(a, v);
      b_.fma(acc, inputs[static_cast<size_t>(a)], weight, acc);
    }
  }
}

void Lowerer::item_row(const Tile& t, int64_t row, P in, int64_t in_offset, P weights, int64_t weight_offset,
                       const std::vector<V>& shared) {
  V own = b_.vec();
  const int64_t x = in_offset + row * row_distance_ * p_.stride * in_row_;
  if (lanes_over_steps() && p_.has_weights())
    b_.bcast(own, weights, weight_offset + layout_.offset_bytes(row));
  if (lanes_ == Dim::kFilter) b_.bcast(own, in, x);
  const auto other = [&](int64_t v) {
    return shared.empty() ? shared_vector(t, in, in_offset, weights, weight_offset, v)
                          : shared[static_cast<size_t>(v)];
  };
  for (int64_t v = 0; v < t.vectors; ++v) {
    if (lanes_ == Dim::kGroup) {
      own = b_.vec();  // only what is read once can be read from memory
      load_channels(t, own, in, x, v);
    }
    const V acc = t.sum(row, v);
    if (p_.has_weights()) {
      b_.fma(acc, own, other(v), acc);
    } else {
      accumulate(acc, lanes_over_steps() ? other(v) : own);
    }
  }
}

// Vector v of the channels of a tile at one position; the last may be masked.
void Lowerer::load_channels(const Tile& t, V x, P in, int64_t offset, int64_t v) {
  if (t.mask && v + 1 == t.vectors) {
    b_.load(x, in, offset + v * b_.vector_bytes(), *t.mask);
  } else {
    b_.load(x, in, offset + v * b_.vector_bytes());
  }
}

// One position of a reduction without weights.
void Lowerer::accumulate(V acc, V x) {
  using vir::Opcode;
  switch (p_.reduce) {
    case Reduce::kMax: {
      // A maximum with a NaN is NaN; `max` alone keeps that of the second one only.
      const M nan = b_.unordered(x, x);
      b_.op(Opcode::kMax, acc, x, acc);
      b_.select(acc, nan, x, acc);
      return;
    }
    case Reduce::kMean:
      b_.op(Opcode::kAdd, acc, acc, x);
      return;
    default:
      b_.copy(acc, x);
  }
}

}  // namespace convsmith::lowering
