// Lifting to lanes over neighbouring output steps ('near'), for layers with few channels and filters. In the
// middle of an input, where all steps see all taps, a vector of inputs serves all filters, and a tap is a
// float further. One channel is read where it is; of several a chunk goes to scratch channel by channel, as
// far as the first cache holds it. The sums of a tile come back as [filter][step] and are interleaved into
// rows of filters, in whole vectors where that can be.
#include <algorithm>

#include "codegen/lower/lowerer.hpp"
#include "codegen/programs/transpose.hpp"

namespace convsmith::lowering {

// Bytes of a staged channel of a chunk.
int64_t Lowerer::near_pitch() const {
  return x1_->stride_bytes(0);
}

int64_t Lowerer::near_scratch() const {
  const int64_t inputs = p_.channels == 1 ? 0 : near_pitch() * p_.channels;
  return inputs + b_.vector_bytes() * inside_.vectors * p_.filters;
}

// All `steps` from `at` on, if they are a tile at least; returns how many were made.
I Lowerer::lift_near(const Cursor& at, I steps) {
  const int64_t tile = inside_.vectors * lanes();
  const TileMemory arrays = memory_;
  memory_ = {.in_item = {p_.channels == 1 ? in_bytes_ : near_pitch(), {}},
             .out_item = {out_bytes_ * tile, {}},
             .in_tap = in_bytes_ * p_.dilation,
             .in_vector = b_.vector_bytes(),
             .out_vector = b_.vector_bytes(),
             .by_phase = false,
             .lifted = true};
  lanes_ = Dim::kStep;
  loops_ = &nest_.inside;
  const I made = b_.iconst(0);
  const I few = b_.iconst(tile - 1);
  b_.if_less(few, steps, "lift", [&] {
    if (p_.channels == 1) {
      near_tiles(at, steps);
    } else {
      near_chunks(at, steps);
    }
    b_.icopy(made, steps);
  });
  loops_ = &nest_.loops;
  lanes_ = Dim::kFilter;
  memory_ = arrays;
  return made;
}

// The last chunk is moved back to end with the steps: the same sums are made again.
void Lowerer::near_chunks(const Cursor& at, I steps) {
  const I o = b_.iconst(0);
  b_.while_less(o, steps, "chunk", [&] {
    const I most = b_.iconst(inside_.chunk);
    const I left = b_.imin(b_.isub(steps, o), most);
    const I least = b_.iconst(inside_.vectors * lanes());
    const I count = b_.imax(left, least);
    b_.iadd(o, o, b_.isub(left, count));
    near_in(moved(at.in, o, {in_row_, {}}), b_.iaddc(count, (p_.taps - 1) * p_.dilation), near_pitch());
    near_tiles({b_.arg_ptr(Arg::kScratch), moved(at.out, o, {out_row_, {}}), at.weights, {}}, count);
    b_.iadd(o, o, count);
  });
}

// So many positions to scratch, [channel][position]. The last vectors are turned by themselves: the others
// may read a few floats of the next position.
void Lowerer::near_in(P from, I positions, int64_t pitch) {
  const I last = b_.iaddc(positions, -lanes());
  const I q = b_.iconst(0);
  const P source = b_.pcopy(from);
  const P target = b_.arg_ptr(Arg::kScratch);
  b_.while_less(q, last, "in", [&] {
    channel_blocks(source, target, pitch, [&](P rows, P to, int64_t channels) {
      const std::vector<V> columns = load_near_columns(b_, rows, in_row_, channels);
      for (size_t c = 0; c < columns.size(); ++c) b_.store(to, pitch * static_cast<int64_t>(c), columns[c]);
    });
    advance(source, {lanes() * in_row_, {}});
    advance(target, {b_.vector_bytes(), {}});
    b_.iaddc(q, q, lanes());
  });
  const P to = moved(b_.arg_ptr(Arg::kScratch), last, {in_bytes_, {}});
  channel_blocks(moved(from, last, {in_row_, {}}), to, pitch, [&](P rows, P block, int64_t channels) {
    transpose_block(rows, in_row_, channels, block, pitch);
  });
}

// Calls turn(rows, to, channels) for the channels, `lanes` at a time.
void Lowerer::channel_blocks(P rows, P to, int64_t pitch, const std::function<void(P, P, int64_t)>& turn) {
  const int64_t blocks = p_.channels / lanes();
  const int64_t rest = p_.channels % lanes();
  if (blocks == 0 || p_.channels == lanes()) return turn(rows, to, p_.channels);
  const P block = b_.pcopy(rows);
  const P target = b_.pcopy(to);
  b_.loop(b_.iconst(blocks), "in", [&] {
    turn(block, target, lanes());
    advance(block, {b_.vector_bytes(), {}});
    advance(target, {pitch * lanes(), {}});
  });
  if (rest > 0) turn(block, target, rest);
}

// The steps of a chunk, whose inputs stand channel by channel; the last tile is moved back to end with them.
void Lowerer::near_tiles(const Cursor& at, I steps) {
  const int64_t tile = inside_.vectors * lanes();
  Cover cover;
  cover.groups = p_.groups;
  cover.filters = p_.group_filters();
  cover.steps = tile;
  cover.tap_begin = b_.iconst(0);
  cover.tap_count = b_.iconst(p_.taps);
  const I last = b_.iaddc(steps, -tile);
  const I q = b_.iconst(0);
  b_.while_less(q, steps, "tile", [&] {
    const I here = b_.imin(q, last);
    const P in = moved(at.in, here, {in_bytes_, {}});
    const P out = moved(at.out, here, {out_row_, {}});
    // Sums of a single filter may be in the order of the output.
    const int64_t inputs = near_scratch() - out_bytes_ * tile * p_.filters;
    const P sums = !ir::turns_near_sums(p_) ? out : b_.paddc(b_.arg_ptr(Arg::kScratch), inputs);
    loop(below_steps_inside(), {in, sums, at.weights, {}}, cover);
    finish_lifted(sums, b_.iconst(inside_.vectors * p_.filters));
    if (ir::turns_near_sums(p_)) near_out(sums, out);
    b_.iaddc(q, q, tile);
  });
}

void Lowerer::near_out(P sums, P out) {
  if (p_.filters % 4 == 0 && p_.filters <= lanes() && p_.out_pitch() == p_.filters) {
    for (int64_t v = 0; v < inside_.vectors; ++v) {
      std::vector<V> rows;
      for (int64_t f = 0; f < p_.filters; ++f)
        rows.push_back(b_.load(sums, memory_.out_item.bytes * f + v * b_.vector_bytes()));
      const std::vector<V> turned = interleave(b_, rows);
      for (size_t j = 0; j < turned.size(); ++j)
        b_.store(out, v * lanes() * out_row_ + static_cast<int64_t>(j) * b_.vector_bytes(), turned[j]);
    }
    return;
  }
  const P from = b_.pcopy(sums);
  const P to = b_.pcopy(out);
  b_.loop(b_.iconst(inside_.vectors), "out", [&] {
    for (int64_t f = 0; f < p_.filters; f += lanes()) {
      const P block = b_.paddc(from, memory_.out_item.bytes * f);
      transpose_vector(block, b_.paddc(to, out_bytes_ * f), std::min(lanes(), p_.filters - f));
    }
    advance(from, {b_.vector_bytes(), {}});
    advance(to, {lanes() * out_row_, {}});
  });
}

}  // namespace convsmith::lowering
