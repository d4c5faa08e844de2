#include "codegen/programs/row_programs.hpp"

#include <limits>

#include "codegen/programs/transpose.hpp"
#include "codegen/programs/vmath.hpp"
#include "codegen/vir/verify.hpp"
#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using vir::Builder;
using vir::I;
using vir::M;
using vir::Opcode;
using vir::P;
using vir::V;

constexpr float kInf = std::numeric_limits<float>::infinity();

// m = the larger of m and x, NaN if either is.
void keep_larger(Builder& b, V m, V x) {
  const V larger = b.max(m, x);  // x, if either is NaN
  b.copy(m, b.select(b.unordered(m, m), m, larger));
}

// The rows of a call, and where the loop over them stands.
struct Rows {
  P in;  // the current row
  P out;
  P scratch;
  I length;
  I in_pitch;  // bytes
  I out_pitch;
};

// What a walk reads or writes: the current row of one of the two arrays.
struct Array {
  P row;
  I pitch;
};

// A walk goes over all elements of its rows, from left to right. each() emits `body`, which gets a vector of
// elements and returns what is stored to `to`, if that is not null. reduce_max() and add_in_order() take
// vectors as `body` gets them.

// One row, its elements in lanes. Lanes beyond its end hold -inf, and count as exp(-inf) = 0 in sums.
class ElementLanes {
 public:
  ElementLanes(Builder& b, const Rows& rows)
      : b_(b), scratch_(rows.scratch), vectors_(b.idivc(rows.length, b.lanes())), rest_(rest(rows.length)) {}

  template <class Body>
  void each(const Array& from, const Array* to, Body&& body) {
    const P x = b_.pcopy(from.row);
    const P y = b_.pcopy(to != nullptr ? to->row : from.row);
    b_.loop(b_.icopy(vectors_), "vectors", [&] {
      const V result = body(b_.load(x, 0));
      if (to != nullptr) b_.store(y, 0, result);
      b_.paddc(x, x, b_.vector_bytes());
      b_.paddc(y, y, b_.vector_bytes());
    });
    b_.if_less(b_.iconst(0), rest_, "rest", [&] {
      const M mask = b_.first(rest_);
      const V loaded = b_.vec();
      b_.load(loaded, x, 0, mask);
      const V result = body(b_.select(mask, loaded, b_.constant(-kInf)));
      if (to != nullptr) b_.store(y, 0, result, mask);
    });
  }

  // Every lane becomes the largest of all: halves of the vector, then of its parts, meet.
  void reduce_max(V m) {
    if (b_.lanes() == 16) keep_larger(b_, m, b_.blocks(m, m, 0x5432));
    if (b_.lanes() == 16) keep_larger(b_, m, b_.blocks(m, m, 0x6701));
    if (b_.lanes() == 8) keep_larger(b_, m, b_.blocks(m, m, 0x01));
    fold(m, Opcode::kZip32Lo, Opcode::kZip32Hi);
    fold(m, Opcode::kZip64Lo, Opcode::kZip64Hi);
  }

  // Adds the lanes of x one after the other to every lane of the sum.
  void add_in_order(V sum, V x) {
    b_.store(scratch_, 0, x);
    for (int64_t j = 0; j < b_.lanes(); ++j) {
      const V term = b_.vec();
      b_.bcast(term, scratch_, 4 * j);
      b_.op(Opcode::kAdd, sum, sum, term);
    }
  }

 private:
  void fold(V m, Opcode low, Opcode high) {
    const V upper = b_.zip(high, m, m);
    b_.copy(m, b_.zip(low, m, m));
    keep_larger(b_, m, upper);
  }
  I rest(I length) { return b_.isub(length, b_.imulc(vectors_, b_.lanes())); }

  Builder& b_;
  P scratch_;
  I vectors_;  // whole ones
  I rest_;     // elements behind them
};

// `lanes` rows at once, one in each lane, through transposed blocks in scratch.
class RowLanes {
 public:
  RowLanes(Builder& b, const Rows& rows) : b_(b), rows_(rows) {}

  template <class Body>
  void each(const Array& from, const Array* to, Body&& body) {
    const P x = b_.pcopy(from.row);
    const P y = b_.pcopy(to != nullptr ? to->row : from.row);
    const I left = b_.icopy(rows_.length);
    b_.while_less(b_.iconst(0), left, "block", [&] {
      const I columns = b_.imin(left, b_.iconst(b_.lanes()));
      const M mask = b_.first(columns);
      store_tile(b_, rows_.scratch, transpose(b_, load_rows(b_, x, from.pitch, mask), b_.lanes()));
      const P cell = b_.pcopy(rows_.scratch);
      b_.loop(columns, "column", [&] {
        const V result = body(b_.load(cell, 0));
        if (to != nullptr) b_.store(cell, 0, result);
        b_.paddc(cell, cell, b_.vector_bytes());
      });
      if (to != nullptr) store_rows(b_, y, to->pitch, load_columns(b_, rows_.scratch), mask);
      b_.paddc(x, x, b_.vector_bytes());
      b_.paddc(y, y, b_.vector_bytes());
      b_.iaddc(left, left, -b_.lanes());
    });
  }

  void reduce_max(V) {}
  void add_in_order(V sum, V x) { b_.op(Opcode::kAdd, sum, sum, x); }

 private:
  Builder& b_;
  const Rows& rows_;
};

class RowProgram {
 public:
  RowProgram(const std::string& name, const Target& target) : b_(name, target.lanes) {
    b_.set_scratch_bytes(b_.vector_bytes() * b_.lanes());
    rows_.scratch = b_.arg_ptr(Arg::kScratch);
    rows_.length = b_.arg_int(Arg::kSteps);
    rows_.in_pitch = b_.imulc(b_.arg_int(Arg::kInSample), 4);
    rows_.out_pitch = b_.imulc(b_.arg_int(Arg::kOutSample), 4);
  }

  vir::Program softmax(bool log) {
    const I begin = b_.arg_int(Arg::kSampleBegin);
    const I end = b_.arg_int(Arg::kSampleEnd);
    start(begin);
    const I row = b_.icopy(begin);
    const I blocks_end = b_.iaddc(end, 1 - b_.lanes());
    b_.while_less(row, blocks_end, "blocks", [&] {
      RowLanes walk(b_, rows_);
      softmax(walk, log);
      advance(b_.lanes());
      b_.iaddc(row, row, b_.lanes());
    });
    b_.while_less(row, end, "rows", [&] {
      ElementLanes walk(b_, rows_);
      softmax(walk, log);
      advance(1);
      b_.iaddc(row, row, 1);
    });
    return b_.take();
  }

  vir::Program sparsemax() {
    const I begin = b_.arg_int(Arg::kSampleBegin);
    const I end = b_.arg_int(Arg::kSampleEnd);
    start(begin);
    b_.loop(b_.isub(end, begin), "rows", [&] {
      sparsemax_row();
      advance(1);
    });
    return b_.take();
  }

 private:
  void start(I row) {
    const I in = b_.imul(row, rows_.in_pitch);
    const I out = b_.imul(row, rows_.out_pitch);
    rows_.in = b_.padd(b_.arg_ptr(Arg::kIn), in);
    rows_.out = b_.padd(b_.arg_ptr(Arg::kOut), out);
  }

  void advance(int64_t count) {
    b_.padd(rows_.in, rows_.in, b_.imulc(rows_.in_pitch, count));
    b_.padd(rows_.out, rows_.out, b_.imulc(rows_.out_pitch, count));
  }

  template <class Walk>
  V largest(Walk& walk, const Array& in) {
    const V m = b_.constant(-kInf);
    walk.each(in, nullptr, [&](V x) { return keep_larger(b_, m, x), x; });
    walk.reduce_max(m);
    return m;
  }

  template <class Walk>
  void softmax(Walk& walk, bool log) {
    const Array in{rows_.in, rows_.in_pitch};
    const Array out{rows_.out, rows_.out_pitch};
    const V m = largest(walk, in);
    const V sum = b_.constant(0.0F);
    walk.each(in, log ? nullptr : &out, [&](V x) {
      const V exp = emit_activation(b_, {ActivationKind::kExponential, {}}, b_.sub(x, m));
      walk.add_in_order(sum, exp);
      return exp;
    });
    if (!log) return walk.each(out, &out, [&](V exp) { return b_.div(exp, sum); });
    const V log_sum = emit_log(b_, sum);
    walk.each(in, &out, [&](V x) { return b_.sub(b_.sub(x, m), log_sum); });
  }

  // Keras's formula sorts: z_1 >= z_2 >= ..., c_j = z_1 + ... + z_j, and with the k values of j where
  // z_j - (c_j - 1) / j > 0, y = max(x - (sum of these c_j - 1) / k, 0). Here without sorting, and with all
  // values counted from the largest, d = x - m, against cancellation:
  //   z_j - (c_j - 1) / j > 0      is  sum over x_i > z_j of (x_i - z_j) < 1, the same for equal values;
  //   sum of c_j                   is  m k (k + 1) / 2 + the sum of all D_j with
  //   D_j                          =   sum over x_i > z_j of d_i + d_j (e + 1) / 2, e values equal to z_j,
  //                                    which is the mean over those;
  //   y                            =   max(d + (1 - sum of D_j - m k (k - 1) / 2) / k, 0).
  void sparsemax_row() {
    const Array in{rows_.in, rows_.in_pitch};
    const Array out{rows_.out, rows_.out_pitch};
    ElementLanes walk(b_, rows_);
    const V m = largest(walk, in);
    const V sum = b_.constant(0.0F);
    const V k = b_.constant(0.0F);
    walk.each(in, nullptr, [&](V x) {
      const auto [excess, mean] = compare_with_row(in, x, m);
      const M supported = b_.less(excess, b_.constant(1.0F));
      walk.add_in_order(sum, b_.select(supported, mean, b_.constant(0.0F)));
      const V one = b_.constant(1.0F);
      walk.add_in_order(k, b_.select(supported, one, b_.constant(0.0F)));
      return x;
    });
    const V pairs = b_.mul(k, b_.sub(k, b_.constant(1.0F)));
    const V minus_pairs = b_.mul(pairs, b_.constant(-0.5F));
    const V numerator = b_.fma(m, minus_pairs, b_.sub(b_.constant(1.0F), sum));
    const V shift = b_.div(numerator, k);
    walk.each(in, &out, [&](V x) {
      const V y = b_.add(b_.sub(x, m), shift);
      return b_.max(b_.constant(0.0F), y);
    });
  }

  // For a vector of elements x: by how much larger ones of the row exceed it together, and D.
  std::pair<V, V> compare_with_row(const Array& row, V x, V m) {
    const V excess = b_.constant(0.0F);
    const V d = b_.constant(0.0F);
    const V half = b_.constant(0.5F);
    const P p = b_.pcopy(row.row);
    b_.loop(b_.icopy(rows_.length), "others", [&] {
      const V other = b_.vec();
      b_.bcast(other, p, 0);
      const M larger = b_.less(x, other);
      const V zero = b_.constant(0.0F);
      b_.op(Opcode::kAdd, excess, excess, b_.select(larger, b_.sub(other, x), zero));
      b_.op(Opcode::kAdd, d, d, b_.select(larger, b_.sub(other, m), zero));
      const M equal = b_.equal(other, x);
      b_.op(Opcode::kAdd, half, half, b_.select(equal, b_.constant(0.5F), zero));
      b_.paddc(p, p, 4);
    });
    return {excess, b_.fma(b_.sub(x, m), half, d)};
  }

  Builder b_;
  Rows rows_{};
};

vir::Program make(ActivationKind kind, const Target& target) {
  switch (kind) {
    case ActivationKind::kSoftmax:
      return RowProgram("softmax", target).softmax(false);
    case ActivationKind::kLogSoftmax:
      return RowProgram("log_softmax", target).softmax(true);
    case ActivationKind::kSparsemax:
      return RowProgram("sparsemax", target).sparsemax();
    default:
      fail_check(__FILE__, __LINE__, "not an activation along rows");
  }
}

}  // namespace

vir::Program row_program(ActivationKind kind, const Target& target) {
  vir::Program program = make(kind, target);
  CONVSMITH_CHECK(vir::verify(program).has_value(), "a row program must verify");
  return program;
}

}  // namespace convsmith
