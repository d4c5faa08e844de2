#include "codegen/programs/transpose_program.hpp"

#include <array>

#include "codegen/programs/transpose.hpp"
#include "codegen/vir/verify.hpp"
#include "frontend/base/check.hpp"
#include "frontend/base/element.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using vir::I;
using vir::M;
using vir::P;
using vir::V;

// Floats of one run.
constexpr int64_t kRun = int64_t{1} << 17;
// Blocks between the one in work and the one that is asked for.
constexpr int64_t kAhead = 4;
// Of an element.
constexpr int64_t kBytes = bytes_of(Element::kFloat32);
// Columns or rows that are turned at once where fewer than a vector are there.
constexpr int64_t kQuad = 4;
// Floats of a call whose array with the nearer rows had better be a chunk that stands in the second cache:
// there asking costs more than waiting.
constexpr int64_t kChunk = int64_t{1} << 18;

class Transposer {
 public:
  explicit Transposer(const Target& target) : b_("transpose", target.lanes) {
    b_.set_scratch_bytes(b_.vector_bytes() * b_.lanes());
  }

  vir::Program run() {
    scratch_ = b_.arg_ptr(Arg::kScratch);
    in_row_ = b_.imulc(b_.arg_int(Arg::kInChannel), kBytes);
    out_row_ = b_.imulc(b_.arg_int(Arg::kOutChannel), kBytes);
    lanes_ = b_.iconst(b_.lanes());
    quad_ = b_.iconst(kQuad);
    choose_axes();
    const I in_sample = b_.imulc(b_.arg_int(Arg::kInSample), kBytes);
    const I out_sample = b_.imulc(b_.arg_int(Arg::kOutSample), kBytes);
    const P in = first(Arg::kIn, in_sample, Arg::kStepBegin, in_row_, Arg::kBlockBegin);
    const P out = first(Arg::kOut, out_sample, Arg::kBlockBegin, out_row_, Arg::kStepBegin);
    b_.loop(extent(Arg::kSampleBegin, Arg::kSampleEnd), "samples", [&] {
      sample(in, out);
      b_.padd(in, in, in_sample);
      b_.padd(out, out, out_sample);
    });
    return b_.take();
  }

 private:
  // One way through the matrix: how far, and how many bytes the next element lies behind in each array.
  struct Axis {
    I count;
    I from;
    I to;
  };

  I extent(Arg begin, Arg end) {
    const I last = b_.arg_int(end);
    return b_.isub(last, b_.arg_int(begin));
  }

  void choose_axes() {
    const I element = b_.iconst(kBytes);
    const I rows = extent(Arg::kStepBegin, Arg::kStepEnd);
    const I columns = extent(Arg::kBlockBegin, Arg::kBlockEnd);
    longer_ = {b_.icopy(columns), b_.icopy(element), b_.icopy(out_row_)};
    shorter_ = {b_.icopy(rows), b_.icopy(in_row_), b_.icopy(element)};
    b_.if_less(in_row_, out_row_, "along rows", [&] {
      set(longer_, rows, in_row_, element);
      set(shorter_, columns, element, out_row_);
    });
    asks_in_ = b_.iconst(1);
    asks_out_ = b_.iconst(1);
    const I floats = b_.imul(rows, columns);
    b_.if_less(floats, b_.iconst(kChunk + 1), "chunk", [&] {
      b_.if_less(in_row_, out_row_, "in", [&] { b_.iconst(asks_in_, 0); });
      b_.if_less(out_row_, in_row_, "out", [&] { b_.iconst(asks_out_, 0); });
    });
    const I across = b_.imax(shorter_.count, b_.iconst(1));
    const I vectors = b_.idivc(b_.idiv(b_.iconst(kRun), across), b_.lanes());
    run_ = b_.imulc(b_.imax(vectors, b_.iconst(1)), b_.lanes());
  }

  void set(const Axis& axis, I count, I from, I to) {
    b_.icopy(axis.count, count);
    b_.icopy(axis.from, from);
    b_.icopy(axis.to, to);
  }

  // Where the ranges of this call begin in an array.
  P first(Arg array, I sample, Arg row, I row_bytes, Arg column) {
    const I samples = b_.imul(b_.arg_int(Arg::kSampleBegin), sample);
    const I rows = b_.imul(b_.arg_int(row), row_bytes);
    const I columns = b_.imulc(b_.arg_int(column), kBytes);
    const I offset = b_.iadd(b_.iadd(samples, rows), columns);
    return b_.padd(b_.arg_ptr(array), offset);
  }

  // Along the longer rows, of the input or of the output, until what the other array got on the way fills a
  // good part of the second cache: there it waits for the rest of its lines.
  void sample(P in, P out) {
    runs(in, out, [&](P run_in, P run_out, I run) {
      blocks(shorter_, lanes_, "across", run_in, run_out, [&](P block_in, P block_out, I across) {
        blocks({run, longer_.from, longer_.to}, lanes_, "along", block_in, block_out,
               [&](P from, P to, I along) { block(from, to, along, across); });
      });
    });
  }

  void block(P from, P to, I along, I across) {
    const I smaller = b_.imin(along, across);
    b_.if_less(b_.iconst(b_.lanes() - 1), smaller, "whole", [&] {
      b_.if_less(b_.iconst(0), asks_in_, "ask in", [&] { prefetch(from, longer_.from, in_row_); });
      b_.if_less(b_.iconst(0), asks_out_, "ask out", [&] { prefetch(to, longer_.to, out_row_); });
      store_rows(b_, to, out_row_, load_columns(b_, from, in_row_));
    });
    b_.if_less(smaller, lanes_, "part", [&] {
      const I quads = b_.icopy(across);  // or too few
      b_.if_less(along, lanes_, "short", [&] { b_.iconst(quads, 0); });
      b_.if_less(b_.iconst(kQuad - 1), quads, "narrow", [&] { narrow(from, to, across); });
      b_.if_less(quads, quad_, "ragged", [&] {
        const I rows = b_.icopy(across);
        const I columns = b_.icopy(along);
        b_.if_less(in_row_, out_row_, "along rows", [&] {
          b_.icopy(rows, along);
          b_.icopy(columns, across);
        });
        ragged(from, to, rows, columns);
      });
    });
  }

  // A whole vector along, at least four across: columns of rows that lie near each other, or rows whose
  // columns go to such.
  void narrow(P from, P to, I across) {
    b_.if_less(in_row_, out_row_, "columns", [&] {
      blocks({across, shorter_.from, shorter_.to}, quad_, "quad", from, to,
             [&](P in, P out, I) { store_rows(b_, out, out_row_, load_columns(b_, in, in_row_, 0, kQuad)); });
    });
    b_.if_less(b_.isub(out_row_, b_.iconst(1)), in_row_, "rows", [&] {
      blocks({across, shorter_.from, shorter_.to}, quad_, "quad", from, to,
             [&](P in, P out, I) { store_quads(out, turn_quads(in)); });
    });
  }

  // Block k of vector j holds four rows of column 4k + j.
  std::array<V, kQuad> turn_quads(P from) {
    std::array<V, kQuad> rows;
    const P row = b_.pcopy(from);
    for (V& v : rows) {
      v = b_.load(row, 0);
      b_.padd(row, row, in_row_);
    }
    return zip_quad(b_, rows);
  }

  void store_quads(P to, const std::array<V, kQuad>& quads) {
    const P row = b_.pcopy(to);
    for (int64_t k = 0; k < b_.lanes() / kQuad; ++k) {
      const I begin = b_.iconst(kQuad * k);
      const M block = b_.between(begin, b_.iconst(kQuad * (k + 1)));
      for (const V quad : quads) {
        b_.store(row, -kBytes * kQuad * k, quad, block);
        b_.padd(row, row, out_row_);
      }
    }
  }

  // So many rows far apart are more than the hardware follows.
  void prefetch(P block, I along, I row) {
    prefetch_rows(b_, b_.padd(block, b_.imul(b_.imulc(lanes_, kAhead), along)), row);
  }

  // Calls body(in, out, extent) for each run of the longer axis.
  template <class Body>
  void runs(P in, P out, Body&& body) {
    const I left = b_.icopy(longer_.count);
    const P from = b_.pcopy(in);
    const P to = b_.pcopy(out);
    b_.while_less(b_.iconst(0), left, "run", [&] {
      const I run = b_.imin(left, run_);
      body(from, to, run);
      advance(from, to, run, longer_);
      b_.icopy(left, b_.isub(left, run));
    });
  }

  // Calls body(in, out, extent) for each `size` of the axis. The last one goes back over what is done
  // already rather than being smaller: whole blocks cost far less than ragged ones.
  template <class Body>
  void blocks(const Axis& axis, I size, std::string_view label, P in, P out, Body&& body) {
    const I left = b_.icopy(axis.count);
    const P from = b_.pcopy(in);
    const P to = b_.pcopy(out);
    const I extent = b_.imin(axis.count, size);
    b_.while_less(b_.iconst(0), left, label, [&] {
      body(from, to, extent);
      b_.icopy(left, b_.isub(left, size));
      advance(from, to, b_.imin(left, size), axis);
    });
  }

  void advance(P from, P to, I count, const Axis& axis) {
    b_.padd(from, from, b_.imul(count, axis.from));
    b_.padd(to, to, b_.imul(count, axis.to));
  }

  // Rows that exist pass through scratch one by one; what lies there beyond them is moved and not stored.
  void ragged(P from, P to, I rows, I columns) {
    const I pitch = b_.iconst(b_.vector_bytes());
    const M columns_mask = b_.first(columns);
    copy_rows(from, in_row_, scratch_, pitch, rows, columns_mask);
    store_tile(b_, scratch_, load_columns(b_, scratch_));
    const M rows_mask = b_.first(rows);
    copy_rows(scratch_, pitch, to, out_row_, columns, rows_mask);
  }

  void copy_rows(P from, I from_pitch, P to, I to_pitch, I count, M mask) {
    const P x = b_.pcopy(from);
    const P y = b_.pcopy(to);
    b_.loop(b_.icopy(count), "copy", [&] {
      const V row = b_.vec();
      b_.load(row, x, 0, mask);
      b_.store(y, 0, row, mask);
      b_.padd(x, x, from_pitch);
      b_.padd(y, y, to_pitch);
    });
  }

  vir::Builder b_;
  P scratch_{};
  I in_row_{};  // bytes
  I out_row_{};
  I lanes_{};
  I quad_{};
  Axis longer_{};
  Axis shorter_{};
  I asks_in_{};  // whether the rows of an array are asked for ahead
  I asks_out_{};
  I run_{};  // elements of the longer axis that are taken at once
};

}  // namespace

vir::Program transpose_program(const Target& target) {
  vir::Program program = Transposer(target).run();
  CONVSMITH_CHECK(vir::verify(program).has_value(), "the transpose program must verify");
  return program;
}

}  // namespace convsmith
