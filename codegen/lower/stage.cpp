// Staging for lanes over steps: the input of a tile of steps, or of a chunk, goes to scratch so that
// neighbouring output steps read neighbouring floats. Position q*stride + phase of channel c lies at row
// phase*channels + c, column q of the slab, counted from the first position of the tile or chunk.
#include "codegen/lower/lower.hpp"
#include "codegen/lower/lowerer.hpp"
#include "codegen/programs/transpose.hpp"

namespace convsmith::lowering {

namespace {

// The first and the second of each of as many neighbouring pairs as there are lanes. Blocks first: those of
// even numbers, and those behind them.
std::pair<V, V> pairs_apart(vir::Builder& b, P from) {
  V even = b.load(from, 0);
  V odd = b.load(from, b.vector_bytes());
  if (b.lanes() > 4) {
    const bool wide = b.lanes() == 16;
    const V left = even;
    even = b.blocks(left, odd, wide ? 0x6420 : 0x20);
    odd = b.blocks(left, odd, wide ? 0x7531 : 0x31);
  }
  using vir::Opcode;
  const V low = b.zip(Opcode::kZip32Lo, even, odd);
  const V high = b.zip(Opcode::kZip32Hi, even, odd);
  return {b.zip(Opcode::kZip32Lo, low, high), b.zip(Opcode::kZip32Hi, low, high)};
}

}  // namespace

// Where tiles read a row for each channel: in scratch, but where steps are neighbours in the input only in
// calls whose rows would meet in sets of the first cache.
void Lowerer::decide_stage() {
  memory_.in_item = {x1_->stride_bytes(1), {}};
  if (!ir::stages_where_rows_meet(nest_)) return;
  stages_ = b_.iconst(0);
  memory_.in_item = {0, b_.icopy(*in_channel_.reg)};
  const int64_t apart = nest_.staged()->apart;
  const I past = b_.isub(*in_channel_.reg, b_.imulc(b_.idivc(*in_channel_.reg, apart), apart));
  b_.if_less(past, b_.iconst(1), "meet", [&] {
    b_.iconst(*stages_, 1);
    b_.iconst(*memory_.in_item.reg, x1_->stride_bytes(1));
  });
}

// The input of `steps` steps from `at` on.
Cursor Lowerer::stage(const Cursor& at, const Cover& cover, I steps) {
  const P slab = b_.arg_ptr(Arg::kScratch);
  const P in = stages_ ? b_.pcopy(at.in) : slab;
  // Without a tap inside the input there is nothing to read.
  const I taps = stages_ ? b_.imul(*stages_, *cover.tap_count) : *cover.tap_count;
  b_.if_less(b_.iconst(0), taps, "stage", [&] {
    stage_channels(at.in, slab, steps, cover);
    if (stages_) b_.pcopy(in, slab);
  });
  return {in, at.out, at.weights, at.operand};
}

// Channel by channel, a matrix [steps][phases] of neighbouring floats, whose last row is short.
void Lowerer::stage_channels(P from, P slab, I steps, const Cover& cover) {
  const I reach = b_.imulc(b_.iaddc(*cover.tap_count, -1), p_.dilation);
  const I span = b_.iaddc(b_.iadd(b_.imulc(b_.iaddc(steps, -1), p_.stride), reach), 1);
  const I rows = b_.idivc(span, p_.stride);
  const I short_row = b_.isub(span, b_.imulc(rows, p_.stride));
  const int64_t phase_bytes = x1_->stride_bytes(0);
  const P source = b_.pcopy(from);
  const P target = b_.pcopy(slab);
  b_.loop(b_.iconst(cover.groups * p_.group_channels()), "c", [&] {
    if (p_.stride == 1) {
      copy_floats(source, target, span);
      advance(source, in_channel_);
      advance(target, {x1_->stride_bytes(1), {}});
      return;
    }
    transpose_matrix({source, in_bytes_ * p_.stride, p_.stride, target, phase_bytes}, rows);
    const P x = moved(source, rows, {in_bytes_ * p_.stride, {}});
    const P y = moved(target, rows, {in_bytes_, {}});
    const I count = b_.icopy(short_row);
    const M one = b_.first(b_.iconst(1));
    b_.loop(count, "short", [&] {
      const V value = b_.vec();
      b_.bcast(value, x, 0);
      b_.store(y, 0, value, one);
      advance(x, {in_bytes_, {}});
      advance(y, {phase_bytes, {}});
    });
    advance(source, in_channel_);
    advance(target, {x1_->stride_bytes(1), {}});
  });
}

// Blocks of lanes x lanes. The last block of rows slides back over rows already done; fewer rows
// than one block are copied float by float.
void Lowerer::transpose_matrix(const Matrix& m, I rows) {
  const I block = b_.iconst(lanes());
  b_.if_less(rows, block, "few", [&] { copy_short(m, rows); });
  b_.if_less(b_.iconst(lanes() - 1), rows, "blocks", [&] {
    const I last = b_.isub(rows, block);
    const I q = b_.icopy(b_.iconst(0));
    b_.while_less(q, rows, "q", [&] {
      const I row = b_.imin(q, last);
      const P from = moved(m.from, row, {m.row_bytes, {}});
      const P to = moved(m.to, row, {in_bytes_, {}});
      const int64_t whole = m.columns / lanes();
      const auto next = [&] {
        advance(from, {b_.vector_bytes(), {}});
        advance(to, {m.column_bytes * lanes(), {}});
      };
      if (whole > 0) {
        b_.loop(b_.iconst(whole), "columns", [&] {
          transpose_block(from, m.row_bytes, lanes(), to, m.column_bytes);
          next();
        });
      }
      if (m.columns % lanes() > 0)
        transpose_block(from, m.row_bytes, m.columns % lanes(), to, m.column_bytes);
      b_.iaddc(q, q, lanes());
    });
  });
}

void Lowerer::transpose_block(P from, int64_t row_bytes, int64_t columns, P to, int64_t column_bytes) {
  if (columns == 2 && row_bytes == 8) {
    const auto [first, second] = pairs_apart(b_, from);
    b_.store(to, 0, first);
    return b_.store(to, column_bytes, second);
  }
  const std::optional<M> mask = unit_mask(columns);
  std::vector<V> rows;
  for (int64_t j = 0; j < lanes(); ++j) {
    const V row = b_.vec();
    if (mask) {
      b_.load(row, from, j * row_bytes, *mask);
    } else {
      b_.load(row, from, j * row_bytes);
    }
    rows.push_back(row);
  }
  const std::vector<V> turned = transpose(b_, rows, columns);
  for (size_t j = 0; j < turned.size(); ++j) b_.store(to, static_cast<int64_t>(j) * column_bytes, turned[j]);
}

void Lowerer::copy_short(const Matrix& m, I rows) {
  const P row = b_.pcopy(m.from);
  const P to = b_.pcopy(m.to);
  const M one = b_.first(b_.iconst(1));
  const I count = b_.icopy(rows);
  b_.loop(count, "row", [&] {
    const P x = b_.pcopy(row);
    const P y = b_.pcopy(to);
    b_.loop(b_.iconst(m.columns), "column", [&] {
      const V value = b_.vec();
      b_.bcast(value, x, 0);
      b_.store(y, 0, value, one);
      advance(x, {in_bytes_, {}});
      advance(y, {m.column_bytes, {}});
    });
    advance(row, {m.row_bytes, {}});
    advance(to, {in_bytes_, {}});
  });
}

void Lowerer::copy_floats(P from, P to, I count) {
  const P x = b_.pcopy(from);
  const P y = b_.pcopy(to);
  const I vectors = b_.idivc(count, lanes());
  const I rest = b_.isub(count, b_.imulc(vectors, lanes()));
  b_.loop(vectors, "copy", [&] {
    b_.store(y, 0, b_.load(x, 0));
    advance(x, {b_.vector_bytes(), {}});
    advance(y, {b_.vector_bytes(), {}});
  });
  const M mask = b_.first(rest);
  const V value = b_.vec();
  b_.load(value, x, 0, mask);
  b_.store(y, 0, value, mask);
}

}  // namespace convsmith::lowering
