// Passes of whole networks - pooling, copies, operands, slices of wider tensors - give the same bits
// everywhere.
#include <gtest/gtest.h>

#include "convsmith/activation.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith {
namespace {

std::vector<float> run_at(const test::Place& place, const Problem& p, const test::Tensors& t) {
  const auto& memory = process_code_memory();
  auto compiled = compile_problem(p, place.backend, place.isa, "", memory ? *memory : nullptr);
  EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error().message) << ir::problem_text(p);
  if (!compiled) return {};
  std::vector<float> out = t.out;
  const auto packed = pack_weights(*compiled, t.kernel, t.bias);
  const RunStatus status =
      run_kernel(**compiled, packed->data, t.in.data(), out.data(), t.batch, t.steps, {}, t.operand.data());
  EXPECT_TRUE(status == RunStatus::kOk || status == RunStatus::kEmptyOutput) << describe(status);
  return out;
}

TEST(Passes, GiveTheSameBitsEverywhere) {
  const ActivationKind kinds[] = {ActivationKind::kLinear, ActivationKind::kTanh, ActivationKind::kRelu,
                                  ActivationKind::kElu, ActivationKind::kSigmoid};
  const std::vector<test::Place> places = test::machine_code_places();
  test::Random r(3);
  for (int round = 0; round < 150; ++round) {
    Problem p = test::random_pass(r);
    p.activation = {kinds[r.between(0, 4)], {1.0F}};
    if (p.combine != Combine::kNone) p.after = {kinds[r.between(0, 4)], {1.0F}};
    const test::Tensors t(p, r.between(1, 2), r.between(1, r.once_in(2) ? 10 : 90), r);
    const auto expected = test::bits_of(run_at({Backend::kInterp, Isa::kAvx2}, p, t));
    for (const test::Place& place : places) {
      ASSERT_EQ(expected, test::bits_of(run_at(place, p, t)))
          << test::name_of(place) << " " << ir::problem_text(p);
    }
  }
}

}  // namespace
}  // namespace convsmith
