// Functions that call each other, for the tests that compare back ends with the interpreter: a leaf with
// vectors, a function that several parts run, a C function with more parameters than registers, and more
// numbers alive across calls than registers keep.
#pragma once

#include <vector>

#include "codegen/kernel.hpp"
#include "codegen/vir/builder.hpp"

namespace convsmith::vir {

// out[0, lanes) = in[0, lanes) + weights[0] for `steps` vectors; gives 3*steps + step_begin.
inline Program call_leaf(int lanes) {
  Builder b("leaf", lanes);
  const P in = b.arg_ptr(Arg::kIn);
  const P out = b.arg_ptr(Arg::kOut);
  const V y = b.vec();
  b.bcast(y, b.arg_ptr(Arg::kWeights), 0);
  const I steps = b.arg_int(Arg::kSteps);
  const I result = b.iadd(b.imulc(steps, 3), b.arg_int(Arg::kStepBegin));
  b.loop(steps, "step", [&] {
    b.store(out, 0, b.add(b.load(in, 0), y));
    b.paddc(in, in, b.vector_bytes());
    b.paddc(out, out, b.vector_bytes());
  });
  b.result(result);
  return b.take();
}

// Part i makes vector i, in the modes that it is told.
inline Program call_part(int lanes) {
  Builder b("part", lanes);
  const I offset = b.imulc(b.part(), b.vector_bytes());
  b.set(Arg::kIn, b.padd(b.arg_ptr(Arg::kIn), offset));
  b.set(Arg::kOut, b.padd(b.arg_ptr(Arg::kOut), offset));
  b.set(Arg::kWeights, b.arg_ptr(Arg::kWeights));
  b.set(Arg::kSteps, b.iconst(1));
  b.set(Arg::kStepBegin, b.iconst(0));
  const I own = b.modes();
  b.set_modes(b.arg_int(Arg::kModes));
  b.call("leaf");
  b.set_modes(own);
  return b.take();
}

// Seven parameters. out: steps vectors by a call, then `sample_end` parts, which flush denormals, by a fork
// behind them. `operand`
// points at a number and a pointer to another one.
inline Program call_main(int lanes) {
  Builder b("main", lanes);
  b.set_params(
      {Arg::kIn, Arg::kWeights, Arg::kOut, Arg::kOperand, Arg::kSteps, Arg::kSampleEnd, Arg::kParallel});
  const I steps = b.arg_int(Arg::kSteps);
  const I parts = b.arg_int(Arg::kSampleEnd);
  std::vector<I> alive;
  for (int64_t i = 0; i < 12; ++i) alive.push_back(b.iaddc(b.imulc(steps, i), i * i));
  b.set(Arg::kIn, b.arg_ptr(Arg::kIn));
  b.set(Arg::kWeights, b.arg_ptr(Arg::kWeights));
  b.set(Arg::kOut, b.arg_ptr(Arg::kOut));
  b.set(Arg::kSteps, steps);
  b.set(Arg::kStepBegin, alive[5]);
  const I sum = b.icopy(b.call("leaf"));
  const P behind = b.padd(b.arg_ptr(Arg::kOut), b.imulc(steps, b.vector_bytes()));
  b.set(Arg::kOut, behind);
  b.set(Arg::kModes, b.flushing(b.modes()));
  b.fork(parts, "part");
  const P numbers = b.arg_ptr(Arg::kOperand);
  b.iadd(sum, sum, b.load_int(numbers, 0));
  b.iadd(sum, sum, b.load_int(b.load_ptr(numbers, 8), 0));
  b.iadd(sum, sum, b.load_int(b.data("table"), 8));
  b.iadd(sum, sum, b.isub(b.pint(behind), b.pint(b.arg_ptr(Arg::kOut))));
  b.iadd(sum, sum, b.idiv(b.iconst(1000003), b.imax(steps, b.iconst(1))));
  for (const I number : alive) b.iadd(sum, sum, number);
  b.result(sum);
  return b.take();
}

inline Program call_where(int lanes) {
  Builder b("where", lanes);
  b.set_params({Arg::kSteps});
  b.result(b.data("table"));
  return b.take();
}

inline std::vector<Program> call_programs(int lanes) {
  return {call_leaf(lanes), call_part(lanes), call_main(lanes), call_where(lanes)};
}

}  // namespace convsmith::vir
