// Lifting: lanes over far-apart segments of the output steps, for layers with few filters. In the middle of
// an input, where all steps see all taps, each lane makes a run of neighbouring steps of its own. The input
// of a block goes through scratch as [position][channel][lane], the sums come back as [step][filter][lane]; a
// tap is then a whole vector further, whatever stride and dilation are, and no vector lies across cache
// lines. In the arrays a lane's positions and steps are one run of floats each, so both ways are plain
// transposes.
#include <algorithm>

#include "codegen/lower/lowerer.hpp"
#include "codegen/programs/transpose.hpp"

namespace convsmith::lowering {

namespace {

// A run of floats in vectors, then `rest(mask, columns)` for what does not fill one: its floats are among the
// first `columns`.
template <class Vectors, class Rest>
void each_vector(vir::Builder& b, const LiftedRun& run, Vectors&& vectors, Rest&& rest) {
  const int64_t lanes = b.lanes();
  if (!run.floats) {
    if (run.known >= lanes) b.loop(b.iconst(run.known / lanes), "vectors", vectors);
    if (run.known % lanes > 0) rest(b.first(b.iconst(run.known % lanes)), run.known % lanes);
    return;
  }
  const I whole = b.idivc(*run.floats, lanes);
  const I left = b.isub(*run.floats, b.imulc(whole, lanes));
  b.loop(whole, "vectors", vectors);
  if (run.known % lanes == 0) return;
  b.if_less(b.iconst(0), left, "rest", [&] { rest(b.first(left), lanes); });
}

}  // namespace

// The floats of `tiles` tiles of a block of `most`, but for the last `unread` of them.
LiftedRun Lowerer::lifted_run(I tiles, int64_t most, int64_t floats, int64_t unread) {
  if (most == 1) return {floats - unread, {}};
  // Where all of that is whole vectors, so is each number of tiles.
  const bool whole = floats % lanes() == 0 && unread % lanes() == 0;
  return {whole ? 0 : 1, b_.iaddc(b_.imulc(tiles, floats), -unread)};
}

int64_t Lowerer::lifted_scratch() const {
  if (near_) return near_scratch();
  if (skews_) return b_.vector_bytes() * p_.filters * (inside_.vectors + p_.taps - 1);
  const LiftedBlock block = lifted_block(p_, target_, inside_.vectors, inside_.tiles);
  // What does not fill a vector is turned as whole ones.
  return b_.vector_bytes() * (block.positions * p_.channels + block.tiles * block.out_floats + lanes());
}

// All steps of a call: those that lack taps on the left, the lifted ones, the others. `i` is the first loop
// over steps.
void Lowerer::lifted_band(size_t i, const Cursor& at, const Cover& cover) {
  const I first = b_.imax(*cover.step_begin, *cover.inside_begin);
  const I end = b_.imin(*cover.step_end, *cover.inside_end);
  const I begin = b_.icopy(*cover.step_begin);
  const I stop = b_.imin(first, *cover.step_end);
  // Twice the same code: the steps before and behind the lifted ones.
  b_.loop(b_.iconst(2), "side", [&] {
    Cover plain = cover;
    plain.step_begin = begin;
    plain.step_end = stop;
    loop(i, moved(at, begin, steps_stride(1)), plain);
    b_.icopy(begin, stop);
    const I steps = b_.imax(b_.iconst(0), b_.isub(end, stop));
    const Cursor here = moved(at, stop, steps_stride(1));
    b_.iadd(begin, begin, near_ ? lift_near(here, steps) : lift(here, steps));
    b_.icopy(stop, *cover.step_end);
  });
}

// As many of `steps` steps as lanes fill; returns their number.
I Lowerer::lift(const Cursor& at, I steps) {
  const int64_t all = inside_.vectors * lanes();  // steps of one tile
  const I tiles = b_.idivc(steps, all);
  const I apart = b_.imulc(tiles, inside_.vectors);
  const I made = b_.imulc(tiles, all);
  // One more, whose lanes overlap, where that costs less than those steps one by one.
  const I lane_steps = b_.iaddc(apart, inside_.vectors);
  const I between = b_.idivc(b_.isub(steps, lane_steps), lanes() - 1);
  const I reached = b_.iadd(lane_steps, b_.imulc(between, lanes() - 1));
  const I enough = b_.iaddc(made, inside_.worth - 1);
  b_.if_less(enough, reached, "overlap", [&] {
    b_.iaddc(tiles, tiles, 1);
    b_.icopy(apart, between);
    b_.icopy(made, reached);
  });
  const I none = b_.iconst(0);
  b_.if_less(none, tiles, "lift", [&] {
    if (skews_) return lift_sliding(at, tiles, apart);
    lift_blocks(at, tiles, apart);
  });
  return made;
}

// `tiles` tiles in lanes that begin `apart` steps from each other.
void Lowerer::lift_blocks(const Cursor& at, I tiles, I apart) {
  const LiftedBlock block = lifted_block(p_, target_, inside_.vectors, inside_.tiles);
  const int64_t position = p_.channels * b_.vector_bytes();
  const I in_pitch = b_.imulc(apart, p_.stride * in_row_);
  const I out_pitch = b_.imulc(apart, out_row_);
  const P slab = b_.arg_ptr(Arg::kScratch);
  lift_in(at.in, in_pitch, slab, {block.kept * p_.channels, {}});
  const P from = b_.paddc(at.in, block.kept * in_row_);
  const P to = b_.pcopy(at.out);
  const P fresh = b_.paddc(slab, block.kept * position);
  const P sums = b_.paddc(slab, block.positions * position);
  const I left = b_.icopy(tiles);
  const I none = b_.iconst(0);
  b_.while_less(none, left, "block", [&] {
    const I count = b_.imin(left, b_.iconst(block.tiles));
    lift_in(from, in_pitch, fresh, lifted_run(count, block.tiles, block.in_floats, block.unread));
    lift_tiles(count, {slab, sums, at.weights, {}});
    finish_lifted(sums, b_.imulc(count, block.out_floats));
    lift_out(sums, to, out_pitch, lifted_run(count, block.tiles, block.out_floats, 0));
    advance(from, {block.steps * p_.stride * in_row_, {}});
    advance(to, {block.steps * out_row_, {}});
    b_.iaddc(left, left, -block.tiles);
    if (block.kept == 0) return;
    // Upward, since the two runs may overlap.
    b_.if_less(none, left, "keep", [&] {
      const P source = b_.paddc(slab, block.steps * p_.stride * position);
      const P target = b_.pcopy(slab);
      b_.loop(b_.iconst(block.kept * p_.channels), "keep", [&] {
        b_.store(target, 0, b_.load(source, 0));
        advance(source, {b_.vector_bytes(), {}});
        advance(target, {b_.vector_bytes(), {}});
      });
    });
  });
}

// The part of the epilogue that accumulators leave, over `vectors` vectors of sums.
void Lowerer::finish_lifted(P sums, I vectors) {
  if (finishes_sums_) return;
  finish_stored({sums, {}, {b_.vector_bytes(), {}}, {}, 1, {}, false}, vectors);
}

// By input position: each vector of inputs meets all taps as it comes out of the transpose, and the sums of
// so many steps are under way at once, each at its own tap. Inputs never pass through scratch. What the
// very first positions complete are steps before the first one: they go to scratch in front of the sums and
// are left there.
void Lowerer::lift_sliding(const Cursor& at, I blocks, I apart) {
  const int64_t step = p_.filters * b_.vector_bytes();
  const I in_pitch = b_.imulc(apart, in_row_);
  const I out_pitch = b_.imulc(apart, out_row_);
  const TileMemory arrays = memory_;
  memory_ = {.in_item = {}, .out_item = {b_.vector_bytes(), {}}, .lifted = true};
  lanes_ = Dim::kStep;
  Tile t;
  t.cover.steps = lanes();
  t.units = t.rows = p_.filters;
  t.vectors = 1;
  std::vector<V> sums;  // [tap][filter]: of the step whose sum is at that tap
  for (int64_t j = 0; j < p_.taps * p_.filters; ++j) sums.push_back(b_.constant(0.0F));
  const P from = b_.pcopy(at.in);
  const P to = b_.pcopy(at.out);
  const P first = b_.paddc(b_.arg_ptr(Arg::kScratch), (p_.taps - 1) * step);
  const P sum = b_.arg_ptr(Arg::kScratch);
  const I positions = b_.iconst(inside_.vectors + p_.taps - 1);
  b_.loop(b_.icopy(blocks), "block", [&] {
    b_.loop(b_.icopy(positions), "position", [&] {
      t.at = {from, sum, at.weights, {}};
      slide_position(t, in_pitch, sums);
      t.acc.assign(sums.end() - p_.filters, sums.end());
      finish(t);
      for (size_t j = sums.size(); j-- > 0;) {
        if (j >= static_cast<size_t>(p_.filters)) {
          b_.copy(sums[j], sums[j - static_cast<size_t>(p_.filters)]);
        } else {
          b_.constant(sums[j], 0.0F);
        }
      }
      b_.paddc(from, from, in_row_);
      b_.paddc(sum, sum, step);
    });
    finish_lifted(first, b_.iconst(inside_.vectors * p_.filters));
    lift_out(first, to, out_pitch, {inside_.vectors * p_.filters, {}});
    b_.paddc(to, to, inside_.vectors * out_row_);
    b_.pcopy(sum, first);
    b_.iconst(positions, inside_.vectors);
  });
  lanes_ = Dim::kFilter;
  memory_ = arrays;
}

// All channels of one position, for all taps: four inputs at a time, so that turning them runs beside the
// multiply-adds of others, and registers are left for the sums.
void Lowerer::slide_position(const Tile& t, I pitch, const std::vector<V>& sums) {
  const int64_t row = layout_.row_bytes(t.units);
  const P x = b_.pcopy(t.at.in);
  const P weights = tap_weights(t, b_.iconst(0));
  b_.loop(b_.iconst(p_.channels / lanes()), "c", [&] {
    for (int64_t first = 0; first < lanes(); first += 4) {
      const std::vector<V> inputs = load_columns(b_, x, pitch, first, first + 4);
      for (int64_t i = 0; i < 4; ++i) {
        for (int64_t j = 0; j < p_.taps * p_.filters; ++j) {
          const int64_t item = j / p_.filters * p_.channels + first + i;
          const V weight = b_.vec();
          b_.bcast(weight, weights, row * item + layout_.offset_bytes(j % p_.filters));
          const V sum = sums[static_cast<size_t>(j)];
          b_.fma(sum, inputs[static_cast<size_t>(i)], weight, sum);
        }
      }
    }
    advance(x, {b_.vector_bytes(), {}});
    advance(weights, {row * lanes(), {}});
  });
}

// The first loop of the part inside that is not over steps.
size_t Lowerer::below_steps_inside() const {
  size_t i = 0;
  while (nest_.inside[i].dim == Dim::kStep) ++i;
  return i;
}

// `tiles` tiles: the loops inside those over steps, with lanes over steps instead of filters.
void Lowerer::lift_tiles(I tiles, const Cursor& at) {
  // Bytes from one position to the next, and from one vector of steps to the next.
  const int64_t position = p_.channels * b_.vector_bytes();
  const TileMemory arrays = memory_;
  memory_ = {.in_item = {position / p_.channels, {}},
             .out_item = {b_.vector_bytes(), {}},
             .in_tap = p_.dilation * position,
             .in_vector = p_.stride * position,
             .out_vector = p_.filters * b_.vector_bytes(),
             .by_phase = false,
             .lifted = true};
  lanes_ = Dim::kStep;
  loops_ = &nest_.inside;
  Cover cover;
  cover.groups = p_.groups;
  cover.filters = p_.group_filters();
  cover.steps = inside_.vectors * lanes();
  cover.tap_begin = b_.iconst(0);
  cover.tap_count = b_.iconst(p_.taps);
  const Cursor tile = copied(at);
  b_.loop(b_.icopy(tiles), "tile", [&] {
    loop(below_steps_inside(), tile, cover);
    advance(tile.in, {inside_.vectors * memory_.in_vector, {}});
    advance(tile.out, {inside_.vectors * memory_.out_vector, {}});
  });
  loops_ = &nest_.loops;
  lanes_ = Dim::kFilter;
  memory_ = arrays;
}

// Neighbouring floats of each lane, lanes `pitch` bytes apart: a vector for each of them.
void Lowerer::lift_in(P from, I pitch, P to, const LiftedRun& run) {
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(to);
  const auto vectors = [&] {
    store_tile(b_, target, load_columns(b_, source, pitch));
    advance(source, {b_.vector_bytes(), {}});
    advance(target, {lanes() * b_.vector_bytes(), {}});
  };
  each_vector(b_, run, vectors, [&](M mask, int64_t columns) {
    store_tile(b_, target, transpose(b_, load_rows(b_, source, pitch, mask), columns));
  });
}

void Lowerer::lift_out(P from, P to, I pitch, const LiftedRun& run) {
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(to);
  const auto vectors = [&] {
    // A few rows at a time: sums may be under way.
    const P row = b_.pcopy(target);
    for (int64_t first = 0; first < lanes(); first += 4) {
      for (const V& y : load_columns(b_, source, first, first + 4)) {
        b_.store(row, 0, y);
        b_.padd(row, row, pitch);
      }
    }
    advance(source, {lanes() * b_.vector_bytes(), {}});
    advance(target, {b_.vector_bytes(), {}});
  };
  each_vector(b_, run, vectors, [&](M mask, int64_t columns) {
    std::vector<V> rows;
    for (int64_t j = 0; j < columns; ++j) rows.push_back(b_.load(source, j * b_.vector_bytes()));
    convsmith::store_rows(b_, target, pitch, transpose(b_, rows, lanes()), mask);
  });
}

}  // namespace convsmith::lowering
