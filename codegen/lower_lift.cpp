// Lifting: lanes over far-apart segments of the output steps, for layers with few filters. In the middle of
// an input, where all steps see all taps, each lane makes a run of neighbouring steps of its own. The input
// of a block goes through scratch as [position][channel][lane], the sums come back as [step][filter][lane]; a
// tap is then a whole vector further, whatever stride and dilation are, and no vector lies across cache
// lines. In the arrays a lane's positions and steps are one run of floats each, so both ways are plain
// transposes.
#include "codegen/lowerer.hpp"
#include "codegen/transpose.hpp"

namespace convsmith::lowering {

// As many tiles as make the floats of a lane whole vectors, while the input stays in the first cache.
Lowerer::LiftedBlock Lowerer::lifted_block() const {
  if (nest_.slide) {
    LiftedBlock block{};
    block.steps = nest_.lifted;
    return block;
  }
  const auto block_of = [&](int64_t tiles) {
    LiftedBlock block{};
    block.tiles = tiles;
    block.steps = tiles * nest_.lifted;
    block.positions = (block.steps - 1) * p_.stride + (p_.taps - 1) * p_.dilation + 1;
    block.kept = std::max<int64_t>(0, block.positions - block.steps * p_.stride);
    block.in_floats = (block.positions - block.kept) * p_.channels;
    block.out_floats = block.steps * p_.filters;
    return block;
  };
  const auto waste = [&](int64_t floats) {
    return static_cast<double>((lanes() - floats % lanes()) % lanes()) / static_cast<double>(floats);
  };
  LiftedBlock best = block_of(1);
  for (int64_t tiles = 2; tiles * nest_.lifted <= ir::kMostLiftedSteps; ++tiles) {
    const LiftedBlock block = block_of(tiles);
    if (block.positions * p_.channels * b_.vector_bytes() > target_.l1_bytes * 3 / 4) break;
    if (waste(block.in_floats) + waste(block.out_floats) < waste(best.in_floats) + waste(best.out_floats))
      best = block;
  }
  return best;
}

int64_t Lowerer::lifted_scratch() const {
  if (nest_.staged) return near_scratch();
  if (nest_.slide) return b_.vector_bytes() * p_.filters * (nest_.lifted + p_.taps - 1);
  const LiftedBlock block = lifted_block();
  return b_.vector_bytes() * (block.positions * p_.channels + block.out_floats);
}

// All steps of a call: those that lack taps on the left, the lifted ones, the others. `i` is the first loop
// over steps.
void Lowerer::lifted_band(size_t i, const Cursor& at, const Cover& cover) {
  const LiftedBlock block = lifted_block();
  const int64_t round = block.steps * lanes();  // steps of one block
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
    const I steps = b_.isub(end, stop);
    if (nest_.staged) {
      const I few = b_.iconst(nest_.lifted * lanes() - 1);
      b_.if_less(few, steps, "lift", [&] {
        lift_near(i, moved(at, stop, steps_stride(1)), steps);
        b_.iadd(begin, begin, steps);
      });
      return b_.icopy(stop, *cover.step_end);
    }
    // A block more than fill all lanes, where that costs less than those steps one by one.
    const int64_t idle = std::max<int64_t>(1, lanes() / p_.group_filters());
    const I blocks = b_.idivc(b_.iaddc(steps, round - std::max<int64_t>(round / idle, block.steps)), round);
    const I none = b_.iconst(0);
    b_.if_less(none, blocks, "lift", [&] {
      const I lane_steps = b_.imulc(blocks, block.steps);
      // Lanes overlap where there are fewer steps than that.
      const I covered = b_.imin(steps, b_.imulc(lane_steps, lanes()));
      const I apart = b_.idivc(b_.isub(covered, lane_steps), lanes() - 1);
      lift(i, block, moved(at, stop, steps_stride(1)), blocks, apart);
      b_.iadd(begin, begin, b_.iadd(lane_steps, b_.imulc(apart, lanes() - 1)));
    });
    b_.icopy(stop, *cover.step_end);
  });
}

// `blocks` blocks in lanes that begin `apart` steps from each other.
void Lowerer::lift(size_t i, const LiftedBlock& block, const Cursor& at, I blocks, I apart) {
  if (nest_.slide) return lift_sliding(at, blocks, apart);
  const int64_t position = p_.channels * b_.vector_bytes();
  const I in_pitch = b_.imulc(apart, p_.stride * in_row_);
  const I out_pitch = b_.imulc(apart, out_row_);
  const P slab = b_.arg_ptr(Arg::kScratch);
  lift_in(at.in, in_pitch, slab, block.kept * p_.channels);
  const P from = b_.paddc(at.in, block.kept * in_row_);
  const P to = b_.pcopy(at.out);
  const P fresh = b_.paddc(slab, block.kept * position);
  const P sums = b_.paddc(slab, block.positions * position);
  b_.loop(b_.icopy(blocks), "block", [&] {
    lift_in(from, in_pitch, fresh, block.in_floats);
    lift_tiles(i, block, {slab, sums, at.weights, {}});
    if (!finishes_sums_) {
      const Stride vector{b_.vector_bytes(), {}};
      finish_stored({sums, {}, vector, {}, 1, {}, false, Stage::kAll}, b_.iconst(block.out_floats));
    }
    lift_out(sums, to, out_pitch, block.out_floats);
    advance(from, {block.steps * p_.stride * in_row_, {}});
    advance(to, {block.steps * out_row_, {}});
    if (block.kept == 0) return;
    // Upward, since the two runs may overlap.
    const P source = b_.paddc(slab, block.steps * p_.stride * position);
    const P target = b_.pcopy(slab);
    b_.loop(b_.iconst(block.kept * p_.channels), "keep", [&] {
      b_.store(target, 0, b_.load(source, 0));
      advance(source, {b_.vector_bytes(), {}});
      advance(target, {b_.vector_bytes(), {}});
    });
  });
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
  const I positions = b_.iconst(nest_.lifted + p_.taps - 1);
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
    if (!finishes_sums_)
      finish_stored({first, {}, {b_.vector_bytes(), {}}, {}, 1, {}, false, Stage::kAll},
                    b_.iconst(nest_.lifted * p_.filters));
    lift_out(first, to, out_pitch, nest_.lifted * p_.filters);
    b_.paddc(to, to, nest_.lifted * out_row_);
    b_.pcopy(sum, first);
    b_.iconst(positions, nest_.lifted);
  });
  lanes_ = Dim::kFilter;
  memory_ = arrays;
}

// All channels of one position, for all taps: four inputs at a time, so that turning them runs beside the
// multiply-adds of others, and registers are left for the sums.
void Lowerer::slide_position(const Tile& t, I pitch, const std::vector<V>& sums) {
  const int64_t row = 4 * layout_.tile_width(t.units);
  const P x = b_.pcopy(t.at.in);
  const P weights = tap_weights(t, b_.iconst(0));
  b_.loop(b_.iconst(p_.channels / lanes()), "c", [&] {
    for (int64_t first = 0; first < lanes(); first += 4) {
      const std::vector<V> inputs = load_columns(b_, x, pitch, first, first + 4);
      for (int64_t i = 0; i < 4; ++i) {
        for (int64_t j = 0; j < p_.taps * p_.filters; ++j) {
          const int64_t item = j / p_.filters * p_.channels + first + i;
          const V weight = b_.vec();
          b_.bcast(weight, weights, row * item + 4 * layout_.tile_offset(j % p_.filters));
          const V sum = sums[static_cast<size_t>(j)];
          b_.fma(sum, inputs[static_cast<size_t>(i)], weight, sum);
        }
      }
    }
    advance(x, {b_.vector_bytes(), {}});
    advance(weights, {row * lanes(), {}});
  });
}

// The tiles of a block: the loops inside those over steps, with lanes over steps instead of filters.
void Lowerer::lift_tiles(size_t i, const LiftedBlock& block, const Cursor& at) {
  while (nest_.loops[i].dim == Dim::kStep) ++i;
  const int64_t position = p_.channels * b_.vector_bytes();
  const TileMemory arrays = memory_;
  memory_ = {.in_item = {b_.vector_bytes(), {}},
             .out_item = {b_.vector_bytes(), {}},
             .in_tap = p_.dilation * position,
             .in_vector = p_.stride * position,
             .out_vector = p_.filters * b_.vector_bytes(),
             .by_phase = false,
             .lifted = true};
  lanes_ = Dim::kStep;
  Cover cover;
  cover.groups = p_.groups;
  cover.filters = p_.group_filters();
  cover.steps = nest_.lifted * lanes();
  cover.tap_begin = b_.iconst(0);
  cover.tap_count = b_.iconst(p_.taps);
  const Cursor tile = copied(at);
  b_.loop(b_.iconst(block.tiles), "tile", [&] {
    loop(i, tile, cover);
    advance(tile.in, {nest_.lifted * memory_.in_vector, {}});
    advance(tile.out, {nest_.lifted * memory_.out_vector, {}});
  });
  lanes_ = Dim::kFilter;
  memory_ = arrays;
}

// `floats` neighbouring floats of each lane, lanes `pitch` bytes apart: a vector for each of them.
void Lowerer::lift_in(P from, I pitch, P to, int64_t floats) {
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(to);
  if (floats >= lanes()) {
    b_.loop(b_.iconst(floats / lanes()), "in", [&] {
      store_tile(b_, target, load_columns(b_, source, pitch));
      advance(source, {b_.vector_bytes(), {}});
      advance(target, {lanes() * b_.vector_bytes(), {}});
    });
  }
  if (const std::optional<M> mask = unit_mask(floats))
    store_tile(b_, target, transpose(b_, load_rows(b_, source, pitch, mask), floats % lanes()));
}

void Lowerer::lift_out(P from, P to, I pitch, int64_t floats) {
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(to);
  if (floats >= lanes()) {
    b_.loop(b_.iconst(floats / lanes()), "out", [&] {
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
    });
  }
  const int64_t rest = floats % lanes();
  if (rest == 0) return;
  std::vector<V> rows;
  for (int64_t j = 0; j < rest; ++j) rows.push_back(b_.load(source, j * b_.vector_bytes()));
  const std::vector<V> turned = transpose(b_, rows, lanes());
  convsmith::store_rows(b_, target, pitch, turned, unit_mask(floats));
}

}  // namespace convsmith::lowering
