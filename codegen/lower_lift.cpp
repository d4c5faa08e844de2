// Lanes over far-apart segments of the output steps: in the middle of an input, where all steps see all
// taps, each lane makes a run of neighbouring steps of its own. The input of a block goes through scratch as
// [position][channel][lane], the sums come back as [step][filter][lane]; a tap is then a whole vector
// further, whatever stride and dilation are, and no vector lies across cache lines. In the arrays a lane's
// positions and steps are one run of floats each, so both ways are plain transposes.
#include "codegen/lowerer.hpp"
#include "codegen/transpose.hpp"

namespace convsmith::lowering {

// As many tiles as make the floats of a lane whole vectors, while the input stays in the first cache.
Lowerer::LiftedBlock Lowerer::lifted_block() const {
  constexpr int64_t kMostTiles = 8;
  const int64_t tile = tile_steps_ / lanes();
  const auto block_of = [&](int64_t tiles) {
    LiftedBlock block{};
    block.tiles = tiles;
    block.steps = tiles * tile;
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
  for (int64_t tiles = 2; tiles <= kMostTiles; ++tiles) {
    const LiftedBlock block = block_of(tiles);
    if (block.positions * p_.channels * b_.vector_bytes() > target_.l1_bytes * 3 / 4) break;
    if (waste(block.in_floats) + waste(block.out_floats) < waste(best.in_floats) + waste(best.out_floats))
      best = block;
  }
  return best;
}

int64_t Lowerer::lifted_scratch() const {
  if (!nest_.lifted) return 0;
  const LiftedBlock block = lifted_block();
  return b_.vector_bytes() * (block.positions * p_.channels + block.out_floats);
}

// The steps of a band that fill whole blocks in all lanes; `at` and the band's begin move past them. `i` is
// the first loop inside the band.
void Lowerer::lift(size_t i, const Cursor& at, Cover& cover) {
  const LiftedBlock block = lifted_block();
  const int64_t position = p_.channels * b_.vector_bytes();
  const I steps = b_.isub(*cover.step_end, *cover.step_begin);
  const I blocks = b_.idivc(steps, block.steps * lanes());
  const I all_taps = b_.iconst(p_.taps);
  b_.if_less(*cover.tap_count, all_taps, "edge", [&] { b_.iconst(blocks, 0); });
  const I none = b_.iconst(0);
  b_.if_less(none, blocks, "lift", [&] {
    const I lane_steps = b_.imulc(blocks, block.steps);
    const I in_pitch = b_.imulc(lane_steps, p_.stride * in_row_);
    const I out_pitch = b_.imulc(lane_steps, out_row_);
    const P from = b_.pcopy(at.in);
    const P to = b_.pcopy(at.out);
    const P slab = b_.arg_ptr(Arg::kScratch);
    lift_in(from, in_pitch, slab, block.kept * p_.channels);
    advance(from, {block.kept * in_row_, {}});
    const P fresh = b_.paddc(slab, block.kept * position);
    const P sums = b_.paddc(slab, block.positions * position);
    const I left = b_.icopy(blocks);
    b_.loop(left, "block", [&] {
      lift_in(from, in_pitch, fresh, block.in_floats);
      lift_tiles(i, block, slab, at.weights, cover);
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
  });
  const I done = b_.imulc(blocks, block.steps * lanes());
  b_.iadd(*cover.step_begin, *cover.step_begin, done);
  const CursorStride step = steps_stride(1);
  b_.padd(at.in, at.in, b_.imulc(done, step.in.bytes));
  b_.padd(at.out, at.out, b_.imulc(done, step.out.bytes));
}

// The tiles of a block, with the loops inside those over steps.
void Lowerer::lift_tiles(size_t i, const LiftedBlock& block, P slab, P weights, const Cover& cover) {
  while (nest_.loops[i].dim == Dim::kStep) ++i;
  const int64_t tile = tile_steps_ / lanes();
  const int64_t position = p_.channels * b_.vector_bytes();
  const TileMemory arrays = memory_;
  memory_ = {.in_item = {b_.vector_bytes(), {}},
             .out_item = {b_.vector_bytes(), {}},
             .in_tap = p_.dilation * position,
             .in_vector = p_.stride * position,
             .out_vector = p_.filters * b_.vector_bytes(),
             .by_phase = false,
             .lifted = true};
  Cover inner = cover;
  inner.steps = tile_steps_;
  const Cursor at{b_.pcopy(slab), b_.paddc(slab, block.positions * position), weights, {}};
  b_.loop(b_.iconst(block.tiles), "tile", [&] {
    loop(i, at, inner);
    advance(at.in, {tile * memory_.in_vector, {}});
    advance(at.out, {tile * memory_.out_vector, {}});
  });
  memory_ = arrays;
}

// `floats` neighbouring floats of each lane, lanes `pitch` bytes apart: a vector for each of them.
void Lowerer::lift_in(P from, I pitch, P to, int64_t floats) {
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(to);
  if (floats >= lanes()) {
    b_.loop(b_.iconst(floats / lanes()), "in", [&] {
      store_tile(b_, target, transpose(b_, load_rows(b_, source, pitch), lanes()));
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
      convsmith::store_rows(b_, target, pitch, transpose(b_, load_tile(b_, source), lanes()));
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
