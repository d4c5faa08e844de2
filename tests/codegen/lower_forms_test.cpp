// Random schedules of every form, most of which nobody chooses today, over awkward layers: each gives the
// bits of the plainest schedule, in whole calls and in parts of calls, and writes nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <span>

#include "codegen/lower/lower.hpp"
#include "codegen/schedule/completed.hpp"
#include "codegen/schedule/schedule_forms.hpp"
#include "convsmith/activation.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/nest_text.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/codegen/random_nest.hpp"
#include "tests/support/guarded_buffer.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using CompiledPtr = std::shared_ptr<const CompiledKernel>;

constexpr float kUntouched = 9.0F;

Result<CompiledPtr> compile_at(const Place& place, const ir::LoopNest& nest) {
  const auto& memory = process_code_memory();
  return compile_nest(nest, place.backend, place.isa, memory ? *memory : nullptr);
}

ir::LoopNest nest_of(const Problem& p, const std::string& schedule) {
  const auto nest = ir::apply(ir::build_nest(p), ir::parse_schedule(schedule).value());
  EXPECT_TRUE(nest) << schedule << ": " << nest.error().message;
  return *nest;
}

// Lanes over filters or groups and nothing else.
ir::LoopNest plain_nest(const Problem& p, int64_t lanes) {
  const std::string n = std::to_string(lanes);
  if (p.has_weights()) return nest_of(p, "cut o; split f " + n + "; lanes f1; reorder n g b o f f1 k c");
  return nest_of(p, "cut o; split g " + n + "; lanes g1; reorder n b o g f g1 k c");
}

// The part of an output that a call makes.
struct Part {
  int64_t sample_begin, sample_end, step_begin, step_end, block_begin, block_end;
};

Part whole_call(const CompiledKernel& compiled, const Tensors& t) {
  return {0, t.batch, 0, compiled.problem.output_steps(t.steps), 0, compiled.blocks.count};
}

Part random_part(const CompiledKernel& compiled, const Tensors& t, Random& r) {
  Part part = whole_call(compiled, t);
  const auto cut = [&](int64_t& begin, int64_t& end) {
    if (end == 0) return;
    begin = r.between(0, end - 1);
    end = r.between(begin + 1, end);
  };
  if (r.once_in(2)) cut(part.sample_begin, part.sample_end);
  cut(part.step_begin, part.step_end);
  if (r.once_in(2)) cut(part.block_begin, part.block_end);
  return part;
}

// What threads do: the argument block of one part. Everything else of the result is untouched.
std::vector<float> run_part(const CompiledKernel& compiled, const Tensors& t, const Part& part) {
  const Problem& p = compiled.problem;
  const std::shared_ptr<const CompiledKernel> alias(&compiled, [](const CompiledKernel*) {});
  const auto packed = pack_weights(alias, t.kernel, p.has_bias ? t.bias : std::vector<float>());
  std::vector<float> out(t.out.size(), kUntouched);
  std::vector<std::max_align_t> scratch(
      static_cast<size_t>(compiled.scratch_bytes) / sizeof(std::max_align_t) + 1);
  KernelArgs args{};
  args.kIn = t.in.data();
  args.kWeights = packed->data;
  args.kOut = out.data();
  args.kOperand = t.operand.data();
  args.kScratch = reinterpret_cast<float*>(scratch.data());
  args.kSteps = t.steps;
  args.kPadLeft = p.left_padding(t.steps);
  args.kSampleBegin = part.sample_begin;
  args.kSampleEnd = part.sample_end;
  args.kStepBegin = part.step_begin;
  args.kStepEnd = part.step_end;
  args.kBlockBegin = part.block_begin;
  args.kBlockEnd = part.block_end;
  fill_pitches(args, p, t.steps, p.output_steps(t.steps));
  compiled.kernel->run(args);
  return out;
}

// Of channels-last outputs.
std::vector<float> expected_part(const CompiledKernel& compiled, const Tensors& t, const Part& part,
                                 const std::vector<float>& whole) {
  const Problem& p = compiled.problem;
  const ir::ParallelBlocks& blocks = compiled.blocks;
  const int64_t filters = blocks.dim == ir::Dim::kSample  ? p.filters
                          : blocks.dim == ir::Dim::kGroup ? blocks.step * p.group_filters()
                                                          : blocks.step;
  const int64_t first = part.block_begin * filters;
  const int64_t last = std::min(part.block_end * filters, p.filters);
  const int64_t out_steps = p.output_steps(t.steps);
  std::vector<float> out(whole.size(), kUntouched);
  for (int64_t n = part.sample_begin; n < part.sample_end; ++n) {
    for (int64_t o = part.step_begin; o < part.step_end; ++o) {
      const int64_t row = (n * out_steps + o) * p.out_pitch();
      std::copy(whole.begin() + row + first, whole.begin() + row + last, out.begin() + row + first);
    }
  }
  return out;
}

void expect_bits(const std::vector<float>& expected, const std::vector<float>& actual) {
  const std::vector<uint32_t> a = bits_of(expected);
  const std::vector<uint32_t> b = bits_of(actual);
  ASSERT_EQ(a.size(), b.size());
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin());
  if (left == a.end()) return;
  const auto i = static_cast<size_t>(left - a.begin());
  FAIL() << "output " << i << " of " << a.size() << ": " << expected[i] << " and " << actual[i];
}

struct Case {
  Problem problem;
  ir::LoopNest nest;
  Isa isa;
  Tensors tensors;
};

Case random_case(Random& r, Isa isa) {
  const Problem p = awkward_problem(r);
  const int64_t batch = r.once_in(12) ? 0 : r.once_in(2) ? 1 : 3;
  const int64_t steps = random_steps(p, batch, r);
  const ir::LoopNest nest = random_nest(p, target_for(isa), r);
  return {p, nest, isa, Tensors(p, batch, steps, r)};
}

void check_case(const Case& c, Random& r, bool on_llvm) {
  const Tensors& t = c.tensors;
  const Place judge{Backend::kInterp, c.isa};
  const auto plain = compile_at(judge, plain_nest(c.problem, target_for(c.isa).lanes));
  ASSERT_TRUE(plain) << plain.error().message;
  const std::vector<float> whole = run_part(**plain, t, whole_call(**plain, t));
  for (const Backend backend : {Backend::kInterp, Backend::kXbyak, Backend::kLlvm}) {
    const std::vector<Place> places = places_of(backend);
    const bool is_here =
        std::any_of(places.begin(), places.end(), [&](const Place& at) { return at.isa == c.isa; });
    if (!is_here || (backend == Backend::kLlvm && !on_llvm)) continue;
    SCOPED_TRACE(name_of({backend, c.isa}));
    const auto compiled = compile_at({backend, c.isa}, c.nest);
    ASSERT_TRUE(compiled) << compiled.error().message;
    expect_bits(whole, run_part(**compiled, t, whole_call(**compiled, t)));
    if (t.batch == 0) continue;
    const Part part = random_part(**compiled, t, r);
    SCOPED_TRACE("steps " + std::to_string(part.step_begin) + " to " + std::to_string(part.step_end) +
                 ", blocks " + std::to_string(part.block_begin) + " to " + std::to_string(part.block_end));
    expect_bits(expected_part(**compiled, t, part, whole), run_part(**compiled, t, part));
  }
}

TEST(LowerForms, RandomSchedulesGiveThePlainBits) {
  Random r(11);
  int ragged = 0;
  int slid = 0;
  int lifted = 0;
  int near = 0;
  int prefetching = 0;
  int streaming = 0;
  int blended = 0;
  int slid_shared = 0;
  for (int round = 0; round < 1200 && !testing::Test::HasFailure(); ++round) {
    const Isa isa = round % 5 < 2 ? Isa::kAvx512 : round % 5 < 4 ? Isa::kAvx2 : Isa::kBaseline;
    const Case c = random_case(r, isa);
    SCOPED_TRACE(ir::print(c.nest) + "batch " + std::to_string(c.tensors.batch) + " steps " +
                 std::to_string(c.tensors.steps));
    check_case(c, r, round % 25 == 0);
    const bool shares = c.nest.shared_rows() > 0;
    ragged += c.nest.guarded() ? 1 : 0;
    slid += ir::skews(c.nest.loops) ? 1 : 0;
    lifted += c.nest.inside.empty() ? 0 : 1;
    near += !c.nest.inside.empty() && !ir::inside_of(c.nest).far ? 1 : 0;
    prefetching += c.nest.hint(ir::HintKind::kPrefetchWeights) != nullptr ? 1 : 0;
    streaming += c.nest.hint(ir::HintKind::kNontemporal) != nullptr ? 1 : 0;
    blended += shares ? 1 : 0;
    slid_shared += shares && ir::skews(c.nest.loops) ? 1 : 0;
  }
  for (const int count : {ragged, slid, lifted, near, prefetching, streaming, blended, slid_shared})
    EXPECT_GT(count, 40);
}

// Lanes over neighbouring steps: every number of filters that fits, with edges and parts of calls.
TEST(LowerForms, NearLanesGiveThePlainBits) {
  Random r(19);
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) {
    const Target& target = target_for(isa);
    for (int round = 0; round < 40 && !testing::Test::HasFailure(); ++round) {
      Problem p;
      p.filters = round % 4 == 0 ? 1 : r.between(1, target.vector_registers - 4);
      p.taps = r.between(1, 20);
      p.dilation = r.once_in(2) ? 1 : r.between(2, 40);
      p.has_bias = r.once_in(2);
      p.activation = random_activation(r);
      p.pad_left = r.between(0, p.taps * p.dilation);
      p.pad_right = r.between(0, p.taps);
      FilterForm form{.near = true, .fuse = can_fuse(p) && r.once_in(2)};
      form.vectors = (p.filters + target.lanes - 1) / target.lanes;
      form.rows = std::max<int64_t>(1, 8 / form.vectors);
      form.ragged = true;
      form.lift =
          r.between(1, std::min<int64_t>((target.vector_registers - 2) / (p.filters + 1), ir::kMostLifted));
      const auto nest = ir::apply(ir::build_nest(p), lanes_over_filters(form, target.lanes));
      ASSERT_TRUE(nest) << nest.error().message;
      const int64_t reach = (p.taps - 1) * p.dilation;
      const Case c{p, *nest, isa, Tensors(p, r.between(1, 2), reach + r.between(1, 500), r)};
      SCOPED_TRACE(ir::print(c.nest) + "steps " + std::to_string(c.tensors.steps));
      check_case(c, r, round % 5 == 0);
    }
  }
}

// Lifted tiles by input position: every number of sums that fits, with edges and parts of calls.
TEST(LowerForms, LiftedWindowsGiveThePlainBits) {
  Random r(15);
  for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) {
    const Target& target = target_for(isa);
    for (int round = 0; round < 25 && !testing::Test::HasFailure(); ++round) {
      Problem p;
      p.channels = target.lanes * r.between(1, 3);
      p.filters = int64_t{1} << r.between(0, 2);
      p.activation = random_activation(r);
      p.taps = r.between(1, most_lifted_sums(p, target) / p.filters);
      const int64_t round_steps = std::max<int64_t>(1, target.lanes / p.filters);
      p.has_bias = r.once_in(2);
      p.pad_left = r.between(0, p.taps);
      p.pad_right = r.between(0, 3);
      const FilterForm form{
          .rows = 4, .ragged = true, .lift = round_steps * r.between(1, 16 / round_steps), .slide = true};
      const auto nest = ir::apply(ir::build_nest(p), lanes_over_filters(form, target.lanes));
      ASSERT_TRUE(nest) << nest.error().message;
      const Case c{p, *nest, isa, Tensors(p, r.between(1, 2), r.between(1, 700), r)};
      SCOPED_TRACE(ir::print(c.nest) + "steps " + std::to_string(c.tensors.steps));
      check_case(c, r, round % 5 == 0);
    }
  }
}

// The sums of the next steps are under way while an activation of these needs registers, too.
TEST(LowerForms, LiftedWindowsLeaveRoomForEveryActivation) {
  const auto& memory = process_code_memory();
  if (!memory) GTEST_SKIP() << "no machine code here";
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    const Target& target = target_for(isa);
    for (auto kind = ActivationKind::kLinear; is_elementwise(kind);
         kind = static_cast<ActivationKind>(static_cast<int>(kind) + 1)) {
      Problem p;
      p.channels = 2 * target.lanes;
      p.filters = 1;
      p.activation = {kind, {0.5F, 1.0F, 0.25F}};
      p.has_bias = true;
      p.taps = most_lifted_sums(p, target);
      const FilterForm form{.rows = 4, .ragged = true, .lift = target.lanes, .slide = true};
      const auto nest = ir::apply(ir::build_nest(p), lanes_over_filters(form, target.lanes));
      ASSERT_TRUE(nest) << nest.error().message;
      const auto kernel = compile_nest(*nest, Backend::kXbyak, isa, *memory);
      EXPECT_TRUE(kernel) << static_cast<int>(kind) << ": " << kernel.error().message;
    }
  }
}

TEST(LowerForms, LiftedWindowsMustFitTheRegisters) {
  Problem p;
  p.channels = 32;
  p.taps = most_lifted_sums(p, target_for(Isa::kAvx512)) + 1;
  const struct {
    int64_t channels, taps, lift;
  } cases[] = {{p.channels, p.taps, 16}, {24, 3, 16}, {32, 3, 12}};
  for (const auto& [channels, taps, lift] : cases) {
    p.channels = channels;
    p.taps = taps;
    const FilterForm form{.rows = 4, .ragged = true, .lift = lift, .slide = true};
    const auto nest = ir::apply(ir::build_nest(p), lanes_over_filters(form, 16));
    ASSERT_TRUE(nest) << nest.error().message;
    const auto program = lower(completed(*nest, target_for(Isa::kAvx512)), target_for(Isa::kAvx512), "");
    ASSERT_FALSE(program);
    EXPECT_THAT(program.error().message,
                testing::HasSubstr("in whole vectors, one block of filters, and at most"));
  }
}

// A loop over groups inside the blocks of filters, several of which a tile of a single step could take.
TEST(LowerForms, SingleStepsOfAllGroupsAreMade) {
  Random r(14);
  for (const char* order : {"n b f g o", "n f b g o", "n f g b o", "n b g f o", "n b o f g", "n b o g f"}) {
    for (const int64_t steps : {1, 4, 5, 7}) {
      Problem p;
      p.groups = 3;
      p.channels = 6;
      p.filters = 81;
      p.taps = 2;
      p.pad_same = true;
      const std::string schedule = "cut o; split f 8; lanes f1; split o 4; tile o1; reorder " +
                                   std::string(order) + " o1 f1 k c; ragged";
      const Case c{p, nest_of(p, schedule), Isa::kAvx2, Tensors(p, 2, steps, r)};
      SCOPED_TRACE(ir::print(c.nest) + " steps " + std::to_string(steps));
      check_case(c, r, false);
    }
  }
}

// Outputs above 24 MiB go around the caches where they begin at a line; others, and those that are written
// in two passes, do not. None of it shows in the result.
TEST(LowerForms, StreamedOutputsAreTheSame) {
  constexpr int64_t kFloats = (int64_t{24} << 18) + 4096;
  const struct {
    int64_t filters, taps, batch;
    Activation activation;
  } layers[] = {
      {16, 1, 1, {}}, {64, 3, 1, make_relu()}, {48, 2, 3, {}}, {16, 3, 1, {ActivationKind::kSoftsign, {}}}};
  Random r(12);
  for (const auto& [filters, taps, batch, activation] : layers) {
    Problem p;
    p.filters = filters;
    p.taps = taps;
    p.pad_same = true;
    p.has_bias = true;
    p.activation = activation;
    const int64_t steps = kFloats / filters / batch;
    const Tensors t(p, batch, steps, r);
    for (const Place& place : places_of(Backend::kXbyak)) {
      const int64_t lanes = target_for(place.isa).lanes;
      FilterForm form{.rows = 6, .ragged = true};
      const auto plain = compile_at(place, *ir::apply(ir::build_nest(p), lanes_over_filters(form, lanes)));
      form.stream = true;
      const auto streamed = compile_at(place, *ir::apply(ir::build_nest(p), lanes_over_filters(form, lanes)));
      ASSERT_TRUE(plain && streamed);
      const auto packed = pack_weights(*plain, t.kernel, t.bias);
      std::vector<float> expected(t.out.size());
      const auto run = [&](const CompiledPtr& compiled, float* out) {
        EXPECT_EQ(run_kernel(*compiled, packed->data, t.in.data(), out, batch, steps, {}), RunStatus::kOk);
      };
      run(*plain, expected.data());
      for (const size_t past_line : {0, 1, 4}) {
        SCOPED_TRACE(name_of(place) + ", " + std::to_string(past_line) + " floats past a line");
        const GuardedBuffer out(t.out.size(), Edge::kStart, past_line);
        run(*streamed, out.data());
        EXPECT_EQ(std::memcmp(expected.data(), out.data(), expected.size() * sizeof(float)), 0);
        EXPECT_TRUE(out.canaries_live());
      }
    }
  }
}

// Asking for weights behind the last block is no access to them.
TEST(LowerForms, PrefetchBeyondTheWeightsDoesNotFault) {
  Random r(13);
  Problem p;
  p.channels = 24;
  p.filters = 80;
  p.taps = 3;
  p.has_bias = true;
  const Tensors t(p, 1, 50, r);
  FaultReport fault;
  for (const Place& place : all_places()) {
    fault.set_case(name_of(place));
    const int64_t lanes = target_for(place.isa).lanes;
    FilterForm form{.rows = 4, .vectors = 2, .ragged = true, .prefetch = true};
    const auto compiled = compile_at(place, *ir::apply(ir::build_nest(p), lanes_over_filters(form, lanes)));
    ASSERT_TRUE(compiled) << compiled.error().message;
    const auto packed = pack_weights(*compiled, t.kernel, t.bias);
    const std::span<const float> weights(packed->data, static_cast<size_t>((*compiled)->weights.floats()));
    const GuardedBuffer guarded(weights, Edge::kEnd);
    std::vector<float> expected(t.out.size());
    std::vector<float> out(t.out.size());
    ASSERT_EQ(run_kernel(**compiled, packed->data, t.in.data(), expected.data(), 1, t.steps, {}),
              RunStatus::kOk);
    ASSERT_EQ(run_kernel(**compiled, guarded.data(), t.in.data(), out.data(), 1, t.steps, {}),
              RunStatus::kOk);
    EXPECT_EQ(bits_of(out), bits_of(expected)) << name_of(place);
  }
}

}  // namespace
}  // namespace convsmith::test
