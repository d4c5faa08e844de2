#include "codegen/programs/move_program.hpp"

#include "codegen/vir/builder.hpp"

namespace convsmith {

using vir::Arg;

// Upward, vector by vector.
vir::Program move_program(const Target& target) {
  vir::Builder b("move", target.lanes);
  const vir::P from = b.pcopy(b.arg_ptr(Arg::kIn));
  const vir::P to = b.pcopy(b.arg_ptr(Arg::kOut));
  const vir::I floats = b.arg_int(Arg::kSteps);
  const vir::I vectors = b.idivc(floats, b.lanes());
  const vir::I rest = b.isub(floats, b.imulc(vectors, b.lanes()));
  b.loop(vectors, "vectors", [&] {
    b.store(to, 0, b.load(from, 0));
    b.paddc(from, from, b.vector_bytes());
    b.paddc(to, to, b.vector_bytes());
  });
  const vir::M mask = b.first(rest);
  const vir::V last = b.vec();
  b.load(last, from, 0, mask);
  b.store(to, 0, last, mask);
  return b.take();
}

}  // namespace convsmith
