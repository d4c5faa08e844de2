// Random layers in buffers between forbidden pages: kernels read and write what is theirs, wherever it
// lies, and give the interpreter's bits.
#include <gtest/gtest.h>

#include "convsmith/activation.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/guarded_buffer.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using CompiledPtr = std::shared_ptr<const CompiledKernel>;

Activation random_activation(Random& r) {
  switch (r.between(0, 6)) {
    case 0:
      return make_relu();
    case 1:
      return make_relu(0.25F, 6.0F, 0.5F);
    case 2:
      return {ActivationKind::kTanh, {}};
    case 3:
      return {ActivationKind::kSoftplus, {}};
    case 4:
      return {ActivationKind::kElu, {0.5F}};
    default:
      return {};
  }
}

struct Layer {
  Problem problem;
  Tensors tensors;
};

Layer random_layer(Random& r) {
  Problem p = random_problem(r);
  p.activation = random_activation(r);
  // From the shortest that gives an output to a few tiles.
  int64_t steps = r.between(1, r.once_in(2) ? 12 : 90);
  while (p.output_steps(steps) == 0) ++steps;
  const int64_t batch = r.between(1, 3);
  return {p, Tensors(p, batch, steps, r)};
}

CompiledPtr compile_at(const Place& place, const Problem& problem) {
  const auto& memory = process_code_memory();
  auto compiled = compile_problem(problem, place.backend, place.isa, "", memory ? *memory : nullptr);
  EXPECT_TRUE(compiled.has_value()) << compiled.error().message;
  return compiled ? *compiled : nullptr;
}

std::span<const float> bias_of(const Layer& layer) {
  return layer.problem.has_bias ? std::span<const float>(layer.tensors.bias) : std::span<const float>();
}

std::vector<uint32_t> interpreter_bits(Layer& layer, Isa isa) {
  const CompiledPtr judge = compile_at({Backend::kInterp, isa}, layer.problem);
  if (judge == nullptr) return {};
  Tensors& t = layer.tensors;
  const auto packed = pack_weights(judge, t.kernel, bias_of(layer));
  EXPECT_EQ(run_kernel(*judge, packed->data, t.in.data(), t.out.data(), t.batch, t.steps, {}),
            RunStatus::kOk);
  return bits_of(t.out);
}

// Where the four buffers of a run lie: at which edge, how many floats from it.
struct Placing {
  Edge edge;
  size_t input, weights, output, scratch;
};

void run_guarded(const Layer& layer, const CompiledKernel& compiled, std::span<const float> packed,
                 const Placing& at, const std::vector<uint32_t>& expected) {
  const Tensors& t = layer.tensors;
  const GuardedBuffer input(t.in, at.edge, at.input);
  const GuardedBuffer weights(packed, at.edge, at.weights);
  const GuardedBuffer output(t.out.size(), at.edge, at.output);
  const GuardedBuffer scratch(static_cast<size_t>(compiled.scratch_bytes) / sizeof(float), at.edge,
                              at.scratch);
  const RunOptions options{.workspace = scratch.data()};
  ASSERT_EQ(run_kernel(compiled, weights.data(), input.data(), output.data(), t.batch, t.steps, options),
            RunStatus::kOk);
  EXPECT_EQ(bits_of(output.values()), expected);
  EXPECT_TRUE(output.canaries_live()) << "written beyond the output";
  EXPECT_TRUE(scratch.canaries_live()) << "written beyond the scratch";
  EXPECT_TRUE(input.canaries_live() && weights.canaries_live()) << "written into an input";
  EXPECT_EQ(bits_of(input.values()), bits_of(t.in));
  EXPECT_EQ(bits_of(weights.values()), bits_of(packed));
}

class GuardTest : public testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(Places, GuardTest, testing::ValuesIn(machine_code_places()),
                         [](const auto& info) { return name_of(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(GuardTest);

TEST_P(GuardTest, NothingIsTouchedOutsideOfTheTensors) {
  const Place& place = GetParam();
  const int layers = place.backend == Backend::kLlvm ? 32 : 300;
  Random r(20 + static_cast<uint32_t>(place.isa));
  FaultReport fault;
  for (int i = 0; i < layers && !HasFailure(); ++i) {
    Layer layer = random_layer(r);
    const std::string text = ir::problem_text(layer.problem) + " batch " +
                             std::to_string(layer.tensors.batch) + " steps " +
                             std::to_string(layer.tensors.steps);
    SCOPED_TRACE(text);
    fault.set_case(name_of(place) + ": " + text);
    const CompiledPtr compiled = compile_at(place, layer.problem);
    ASSERT_NE(compiled, nullptr);
    const std::vector<uint32_t> expected = interpreter_bits(layer, place.isa);
    const auto packed = pack_weights(compiled, layer.tensors.kernel, bias_of(layer));
    const std::span<const float> weights(packed->data, static_cast<size_t>(compiled->weights.floats()));
    // Scratch is aligned as malloc aligns: a whole number of 16 bytes from a page's edge, as far as its
    // size allows that.
    const auto scratch_floats = static_cast<size_t>(compiled->scratch_bytes) / sizeof(float);
    const size_t scratch_gap = (4 - scratch_floats % 4) % 4;
    const auto gap = static_cast<size_t>(i % 16);
    run_guarded(layer, *compiled, weights, {Edge::kEnd, 0, 0, 0, scratch_gap}, expected);
    run_guarded(layer, *compiled, weights, {Edge::kStart, 0, 0, 0, 0}, expected);
    run_guarded(layer, *compiled, weights,
                {Edge::kEnd, gap, (gap * 3 + 1) % 16, (gap * 5 + 2) % 16, scratch_gap}, expected);
    run_guarded(layer, *compiled, weights, {Edge::kStart, (gap * 7 + 3) % 16, gap, (gap * 11 + 5) % 16, 4},
                expected);
  }
}

// The same layer at each of the 16 x 16 distances of input and output from a vector's boundary.
TEST_P(GuardTest, EveryMisalignmentGivesTheSameBits) {
  const Place& place = GetParam();
  Problem problem;
  problem.channels = 5;
  problem.filters = 19;
  problem.taps = 3;
  problem.pad_same = true;
  Random r(3);
  FaultReport fault;
  for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
    problem.layout = layout;
    Layer layer{problem, Tensors(problem, 2, 21, r)};
    const CompiledPtr compiled = compile_at(place, problem);
    ASSERT_NE(compiled, nullptr);
    const std::vector<uint32_t> expected = interpreter_bits(layer, place.isa);
    const auto packed = pack_weights(compiled, layer.tensors.kernel, bias_of(layer));
    const std::span<const float> weights(packed->data, static_cast<size_t>(compiled->weights.floats()));
    for (size_t i = 0; i < 256; ++i) {
      SCOPED_TRACE(i);
      fault.set_case(name_of(place) + ": misalignment " + std::to_string(i));
      run_guarded(layer, *compiled, weights,
                  {i % 2 == 0 ? Edge::kEnd : Edge::kStart, i % 16, (i + i / 16) % 16, i / 16, 0}, expected);
    }
  }
}

}  // namespace
}  // namespace convsmith::test
