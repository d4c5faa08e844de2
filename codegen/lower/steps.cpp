// The loops over the output steps of a band, from the outside in: chunks, then tiles of falling height, so
// that what is left when no whole tile fits costs little.
#include <fmt/format.h>

#include <algorithm>

#include "codegen/lower/lowerer.hpp"

namespace convsmith::lowering {

namespace {

// For each height: so many steps at most are left to one of each lower tile. That is where they make fewer
// rows together than one more of this height, since the last of them overlaps what is there.
std::vector<int64_t> most_left(const std::vector<int64_t>& heights) {
  std::vector<int64_t> most(heights.size());
  int64_t lower = 0;  // one of each
  for (size_t i = heights.size(); i-- > 0; lower += heights[i]) {
    const auto rows_of = [&](int64_t steps) {
      int64_t rows = 0;
      for (size_t j = i + 1; j < heights.size(); ++j) {
        for (; steps > most[j]; steps -= heights[j]) rows += heights[j];
      }
      return rows;
    };
    most[i] = std::min(heights[i] - 1, lower);
    while (most[i] > 0 && rows_of(most[i]) >= heights[i]) --most[i];
  }
  return most;
}

}  // namespace

// An outer loop over steps: a chunk small enough for a cache, which the loops inside pass several
// times.
void Lowerer::chunk_loop(size_t i, const Cursor& at, const Cover& cover) {
  // As many chunks as needed, of equal size in whole tiles: a short last one would pass all weights for
  // little.
  const int64_t step = loops()[i].step;
  const I one = b_.iconst(1);
  const I all = b_.imax(one, b_.isub(*cover.step_end, *cover.step_begin));
  const I chunks = b_.idivc(b_.iaddc(all, step - 1), step);
  const I share = b_.idiv(b_.iaddc(all, -1), chunks);
  const I size = b_.imulc(b_.iaddc(b_.idivc(share, tile_steps_), 1), tile_steps_);
  CursorStride chunk = steps_stride(1);
  for (Stride* stride : {&chunk.in, &chunk.out, &chunk.operand}) stride->reg = b_.imulc(size, stride->bytes);
  const I o = b_.icopy(*cover.step_begin);
  const Cursor here = copied(at);
  const TileMemory arrays = memory_;
  b_.while_less(o, *cover.step_end, ir::loop_name(loops(), i), [&] {
    Cover inner = cover;
    const I next = b_.iadd(o, size);
    inner.step_begin = o;
    inner.step_end = b_.imin(next, *cover.step_end);
    if (slab_steps_ > 0 && !arrays.in_slab) {
      const Cursor slab = stage(here, cover, b_.isub(*inner.step_end, o));
      memory_.in_slab = true;
      loop(i + 1, slab, inner);
      memory_ = arrays;
    } else {
      loop(i + 1, here, inner);
    }
    b_.icopy(o, next);
    advance(here, chunk);
  });
}

// Whole tiles, then those of the tail.
void Lowerer::step_loop(size_t i, const Cursor& at, const Cover& cover) {
  const I o = b_.icopy(*cover.step_begin);
  const Cursor here = copied(at);
  if (lanes_over_steps()) {
    for (const int64_t steps : tile_heights()) steps_of_height(i, o, here, cover, steps, 1);
    masked_steps(i, o, here, cover);
    return;
  }
  if (prefetch_share_) asked_ = b_.paddc(at.weights, block_bytes());
  const std::vector<int64_t> heights = tile_heights();
  const std::vector<int64_t> left = most_left(heights);
  for (size_t j = 0; j < heights.size(); ++j) {
    if (tail().strategy == ir::TailStrategy::kShift) {
      overlapping_steps(i, o, here, cover, heights[j], left[j]);
    } else {
      steps_of_height(i, o, here, cover, heights[j], row_distance_);
    }
  }
  if (row_distance_ > 1) steps_of_height(i, o, here, cover, 1, 1);
  asked_.reset();
}

// Of the innermost serial loop over steps.
const ir::Tail& Lowerer::tail() const {
  const auto loop = std::find_if(nest_.loops.rbegin(), nest_.loops.rend(), [](const ir::Loop& l) {
    return l.dim == Dim::kStep && l.role == ir::Role::kSerial;
  });
  return loop->tail;
}

std::vector<int64_t> Lowerer::tile_heights() const {
  std::vector<int64_t> heights = {tile_steps_};
  heights.insert(heights.end(), tail().sizes.begin(), tail().sizes.end());
  return heights;
}

// Tiles of `height` steps, the last one moved back to end with the steps, as long as more than `left` of them
// are there.
void Lowerer::overlapping_steps(size_t i, I o, const Cursor& at, const Cover& cover, int64_t height,
                                int64_t left) {
  const I all = b_.isub(*cover.step_end, *cover.step_begin);
  const I last = b_.iaddc(*cover.step_end, -height);
  const I stop = b_.iaddc(*cover.step_end, -left);
  const I enough = b_.iconst(height);
  b_.if_less(all, enough, "short", [&] { b_.icopy(stop, o); });
  b_.while_less(o, stop, fmt::format("{}.{}", ir::loop_name(loops(), i), height), [&] {
    b_.if_less(last, o, "back", [&] {
      const I back = b_.isub(last, o);
      const CursorStride step = steps_stride(1);
      b_.padd(at.in, at.in, b_.imulc(back, step.in.bytes));
      b_.padd(at.out, at.out, b_.imulc(back, step.out.bytes));
      b_.icopy(o, last);
    });
    Cover inner = cover;
    inner.steps = height;
    inner.step = o;
    tile_entry(i, at, inner);
    b_.iaddc(o, o, height);
    advance(at, steps_stride(height));
  });
}

// Tiles of `height` rows, `distance` steps apart: so many of them, each a step further, make a whole block.
void Lowerer::steps_of_height(size_t i, I o, const Cursor& at, const Cover& cover, int64_t height,
                              int64_t distance) {
  const int64_t block = height * distance;
  const I last = block == 1 ? *cover.step_end : b_.iaddc(*cover.step_end, 1 - block);
  b_.while_less(o, last, fmt::format("{}.{}", ir::loop_name(loops(), i), height), [&] {
    Cover inner = cover;
    inner.steps = height;
    if (distance == 1) {
      inner.step = o;
      tile_entry(i, at, inner);
    } else {
      inner.step = b_.icopy(o);
      const Cursor here = copied(at);
      b_.loop(b_.iconst(distance), "phase", [&] {
        tile_entry(i, here, inner);
        b_.iaddc(*inner.step, *inner.step, 1);
        advance(here, steps_stride(1));
      });
    }
    b_.iaddc(o, o, block);
    advance(at, steps_stride(block));
  });
}

void Lowerer::masked_steps(size_t i, I o, const Cursor& at, const Cover& cover) {
  b_.while_less(o, *cover.step_end, ir::loop_name(loops(), i) + ".rest", [&] {
    Cover inner = cover;
    inner.steps = lanes();
    const I left = b_.isub(*cover.step_end, o);
    inner.valid = b_.imin(left, b_.iconst(lanes()));
    tile_entry(i, at, inner);
    b_.iaddc(o, o, lanes());
    advance(at, steps_stride(lanes()));
  });
}

void Lowerer::tile_entry(size_t i, const Cursor& at, const Cover& cover) {
  Cursor inner = at;
  if (slab_steps_ == tile_steps_)
    inner = stage(at, cover, cover.valid ? *cover.valid : b_.iconst(cover.steps));
  loop(i + 1, inner, cover);
}

}  // namespace convsmith::lowering
