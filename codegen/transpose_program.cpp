#include "codegen/transpose_program.hpp"

#include "codegen/transpose.hpp"
#include "codegen/vir_verify.hpp"
#include "frontend/check.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using vir::I;
using vir::M;
using vir::P;

class Transposer {
 public:
  explicit Transposer(const Target& target) : b_("transpose", target.lanes) {
    b_.set_scratch_bytes(b_.vector_bytes() * b_.lanes());
  }

  vir::Program run() {
    scratch_ = b_.arg_ptr(Arg::kScratch);
    in_row_ = b_.imulc(b_.arg_int(Arg::kInChannel), 4);
    out_row_ = b_.imulc(b_.arg_int(Arg::kOutChannel), 4);
    rows_ = extent(Arg::kStepBegin, Arg::kStepEnd);
    columns_ = extent(Arg::kBlockBegin, Arg::kBlockEnd);
    const I in_sample = b_.imulc(b_.arg_int(Arg::kInSample), 4);
    const I out_sample = b_.imulc(b_.arg_int(Arg::kOutSample), 4);
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
  I extent(Arg begin, Arg end) {
    const I last = b_.arg_int(end);
    return b_.isub(last, b_.arg_int(begin));
  }

  // Where the ranges of this call begin in an array.
  P first(Arg array, I sample, Arg row, I row_bytes, Arg column) {
    const I samples = b_.imul(b_.arg_int(Arg::kSampleBegin), sample);
    const I rows = b_.imul(b_.arg_int(row), row_bytes);
    const I columns = b_.imulc(b_.arg_int(column), 4);
    const I offset = b_.iadd(b_.iadd(samples, rows), columns);
    return b_.padd(b_.arg_ptr(array), offset);
  }

  // Blocks of lanes x lanes, smaller ones at the ends.
  void sample(P in, P out) {
    const P in_rows = b_.pcopy(in);
    const P out_columns = b_.pcopy(out);
    blocks(rows_, "rows", [&](I rows) {
      const P from = b_.pcopy(in_rows);
      const P to = b_.pcopy(out_columns);
      blocks(columns_, "columns", [&](I columns) {
        const I smaller = b_.imin(rows, columns);
        b_.if_less(b_.iconst(b_.lanes() - 1), smaller, "whole", [&] {
          store_rows(b_, to, out_row_, transpose(b_, load_rows(b_, from, in_row_), b_.lanes()));
        });
        b_.if_less(smaller, b_.iconst(b_.lanes()), "ragged", [&] { ragged(from, to, rows, columns); });
        b_.paddc(from, from, b_.vector_bytes());
        b_.padd(to, to, b_.imulc(out_row_, b_.lanes()));
      });
      b_.padd(in_rows, in_rows, b_.imulc(in_row_, b_.lanes()));
      b_.paddc(out_columns, out_columns, b_.vector_bytes());
    });
  }

  // Calls body(size) for each vector of `count`.
  template <class Body>
  void blocks(I count, std::string_view label, Body&& body) {
    const I left = b_.icopy(count);
    b_.while_less(b_.iconst(0), left, label, [&] {
      body(b_.imin(left, b_.iconst(b_.lanes())));
      b_.iaddc(left, left, -b_.lanes());
    });
  }

  // Rows that exist pass through scratch one by one; what lies there beyond them is moved and not stored.
  void ragged(P from, P to, I rows, I columns) {
    const I pitch = b_.iconst(b_.vector_bytes());
    const M columns_mask = b_.first(columns);
    copy_rows(from, in_row_, scratch_, pitch, rows, columns_mask);
    store_tile(b_, scratch_, transpose(b_, load_tile(b_, scratch_), b_.lanes()));
    const M rows_mask = b_.first(rows);
    copy_rows(scratch_, pitch, to, out_row_, columns, rows_mask);
  }

  void copy_rows(P from, I from_pitch, P to, I to_pitch, I count, M mask) {
    const P x = b_.pcopy(from);
    const P y = b_.pcopy(to);
    b_.loop(b_.icopy(count), "copy", [&] {
      const vir::V row = b_.vec();
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
  I rows_{};
  I columns_{};
};

}  // namespace

vir::Program transpose_program(const Target& target) {
  vir::Program program = Transposer(target).run();
  CONVSMITH_CHECK(vir::verify(program).has_value(), "the transpose program must verify");
  return program;
}

}  // namespace convsmith
