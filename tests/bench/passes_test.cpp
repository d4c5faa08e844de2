// How many lanes of a vector work in every kind of pass that the bench of passes measures: one of sixteen
// goes unnoticed where only results are compared.
#include "bench/passes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "cli/verify/random_layer.hpp"
#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/graph_interp.hpp"
#include "runtime/compile.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/model.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::bench {
namespace {

using vir::Inst;
using vir::Opcode;

// What the stores of a call wrote.
struct Stores {
  int64_t count = 0;
  int64_t floats = 0;
  double lanes() const {
    return static_cast<double>(floats) / static_cast<double>(std::max<int64_t>(count, 1));
  }
};

// Runs the integers of a program and counts its stores, of which it makes none.
class CountingKernel final : public Kernel {
 public:
  CountingKernel(vir::Program program, Stores& stores)
      : program_(std::move(program)), match_(vir::match_blocks(program_)), stores_(stores) {}

  void run(const KernelArgs& args) const noexcept override {
    std::array<std::vector<int64_t>, vir::kKinds> registers;
    for (size_t kind = 0; kind < registers.size(); ++kind) registers[kind].resize(program_.registers[kind]);
    State s{registers[0].data(), registers[1].data(), registers[3].data()};
    for (size_t pc = 0; pc < program_.body.size(); ++pc) {
      const Inst& inst = program_.body[pc];
      if (vir::opens_block(inst.op) || inst.op == Opcode::kEnd) {
        pc = next(pc, s);
      } else if (!numbers(inst, s, args)) {
        count(inst, s);
      }
    }
  }

 private:
  struct State {
    int64_t* p;
    int64_t* i;
    int64_t* m;  // lanes of a mask
  };

  // The operation whose successor is the next one.
  size_t next(size_t pc, const State& s) const {
    const auto match = static_cast<size_t>(match_[pc]);
    const bool ends = program_.body[pc].op == Opcode::kEnd;
    const Inst& opener = program_.body[ends ? match : pc];
    const auto& r = opener.regs;
    if (ends && !vir::is_loop(opener.op)) return pc;
    if (ends && opener.op == Opcode::kLoop) --s.i[r[0]];
    const bool goes_in = opener.op == Opcode::kLoop     ? s.i[r[0]] > 0
                         : opener.op == Opcode::kWithin ? static_cast<uint64_t>(s.i[r[0]] + opener.imm) <
                                                              static_cast<uint64_t>(s.i[r[1]])
                                                        : s.i[r[0]] < s.i[r[1]];
    return goes_in ? (ends ? match : pc) : (ends ? pc : match);
  }

  static bool numbers(const Inst& inst, const State& s, const KernelArgs& args) {
    const auto& r = inst.regs;
    const auto argument = [&] {
      int64_t value = 0;
      std::memcpy(&value, reinterpret_cast<const std::byte*>(&args) + 8 * inst.imm, 8);
      return value;
    };
    switch (inst.op) {
      case Opcode::kArgPtr:
        s.p[r[0]] = argument();
        return true;
      case Opcode::kArgInt:
        s.i[r[0]] = argument();
        return true;
      case Opcode::kIntConst:
        s.i[r[0]] = inst.imm;
        return true;
      case Opcode::kIntCopy:
        s.i[r[0]] = s.i[r[1]];
        return true;
      case Opcode::kIntAdd:
        s.i[r[0]] = s.i[r[1]] + s.i[r[2]];
        return true;
      case Opcode::kIntAddC:
        s.i[r[0]] = s.i[r[1]] + inst.imm;
        return true;
      case Opcode::kIntSub:
        s.i[r[0]] = s.i[r[1]] - s.i[r[2]];
        return true;
      case Opcode::kIntMul:
        s.i[r[0]] = s.i[r[1]] * s.i[r[2]];
        return true;
      case Opcode::kIntMulC:
        s.i[r[0]] = s.i[r[1]] * inst.imm;
        return true;
      case Opcode::kIntMin:
        s.i[r[0]] = std::min(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntMax:
        s.i[r[0]] = std::max(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntDiv:
        s.i[r[0]] = s.i[r[1]] / std::max<int64_t>(s.i[r[2]], 1);
        return true;
      case Opcode::kIntDivC:
        s.i[r[0]] = floor_div(s.i[r[1]], inst.imm);
        return true;
      case Opcode::kPtrCopy:
        s.p[r[0]] = s.p[r[1]];
        return true;
      case Opcode::kPtrAdd:
        s.p[r[0]] = s.p[r[1]] + s.i[r[2]];
        return true;
      case Opcode::kPtrAddC:
        s.p[r[0]] = s.p[r[1]] + inst.imm;
        return true;
      case Opcode::kPtrInt:
        s.i[r[0]] = s.p[r[1]];
        return true;
      case Opcode::kFirst:
        s.m[r[0]] = s.i[r[1]];
        return true;
      case Opcode::kBetween:
        s.m[r[0]] = s.i[r[2]] - s.i[r[1]];
        return true;
      default:
        return false;
    }
  }
  static int64_t floor_div(int64_t a, int64_t n) { return a / n - (a % n < 0 ? 1 : 0); }

  void count(const Inst& inst, const State& s) const {
    if (inst.op == Opcode::kStore || inst.op == Opcode::kStream) {
      stores_.count += 1;
      stores_.floats += program_.lanes;
    }
    if (inst.op == Opcode::kStoreMask && s.m[inst.regs[2]] > 0) {
      stores_.count += 1;
      stores_.floats += s.m[inst.regs[2]];
    }
  }

  vir::Program program_;
  std::vector<int32_t> match_;
  Stores& stores_;
};

class CountingKernels final : public KernelMaker {
 public:
  CountingKernels(const Target& target, Stores& stores) : target_(target), stores_(stores) {}
  KernelResult nest(const Problem& problem) override {
    auto lowered = lower_layer(problem, target_, {});
    if (!lowered) return tl::unexpected(lowered.error());
    return with_code(kernel_without_code(lowered->nest, lowered->program, target_), lowered->program);
  }
  KernelResult program(const vir::Program& program) override {
    return with_code(kernel_without_code(program, target_), program);
  }

 private:
  KernelResult with_code(CompiledKernel compiled, const vir::Program& program) {
    auto made = std::make_shared<CompiledKernel>(std::move(compiled));
    made->kernel = std::make_unique<CountingKernel>(program, stores_);
    return made;
  }
  const Target& target_;
  Stores& stores_;
};

Stores count_stores(const ModelSpec& model, Isa isa, int64_t steps) {
  Stores stores;
  CountingKernels kernels(target_for(isa), stores);
  auto graph = optimized_graph(model, Rules::kAny);
  CONVSMITH_CHECK(graph.has_value(), "the bench has legal models");
  auto compiled = compile_graph(std::move(*graph), Backend::kInterp, isa, kernels);
  CONVSMITH_CHECK(compiled.has_value(), "its passes can be compiled");
  const ir::Graph& g = (*compiled)->graph;
  std::vector<std::span<const float>> arrays;
  for (const ir::Array& array : g.arrays) arrays.emplace_back(array.data);
  const auto weights = pack_graph(*compiled, arrays);
  std::vector<int64_t> all_steps;
  for (const auto& pinned : g.pinned_steps) all_steps.push_back(pinned.value_or(steps));
  // Nothing is read or written.
  std::vector<float> memory(1);
  const std::vector<const float*> in(g.inputs.size(), memory.data());
  float* const out = memory.data();
  EXPECT_EQ(run_graph(**compiled, *weights, in, {&out, 1}, 1, all_steps, {}), RunStatus::kOk);
  return stores;
}

// Lanes that the stores of a pass must fill, one with another. What moves rows of channels to other distances
// stores them one by one, what sums over all steps keeps to one sum a channel, and transposes of few channels
// go by fours.
double least_lanes(const std::string& name, int64_t channels, int64_t lanes) {
  const auto is_one_of = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(), [&](const char* part) { return name.starts_with(part); });
  };
  const bool is_first = name.ends_with("_first");
  const double most = 0.8 * static_cast<double>(lanes);
  const int64_t vectors = (channels + lanes - 1) / lanes;
  const double row = static_cast<double>(channels) / static_cast<double>(vectors);
  const bool is_global = is_one_of({"global"});
  if (is_one_of({"softmax", "log_softmax", "transpose"})) return 3.5;
  if (is_first && is_one_of({"concatenate"})) return channels == 1 ? 3.25 : 3.5;
  if (is_global && is_first && channels > 1) return 3.5;
  const bool has_rows = is_global || is_one_of({"concatenate", "up_sampling"}) ||
                        (channels > 1 && !is_first && is_one_of({"step_gate", "max_pool2", "mean_pool2"}));
  return has_rows ? std::min(most, row) : most;
}

TEST(PassKinds, UseTheLanesOfAVector) {
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    for (const int64_t channels : {1, 2, 3, 5, 7, 12, 20, 33, 48, 64}) {
      for (const Pass& pass : all_passes(channels)) {
        EXPECT_GE(count_stores(pass.model, isa, 960).lanes(),
                  least_lanes(pass.name, channels, target_for(isa).lanes))
            << pass.name << " of " << channels << " channels on " << isa_name(isa);
      }
    }
  }
}

// One pass after the other, as the graph says it, and compiled.
class Call {
 public:
  Call(const ModelSpec& model, int64_t batch, int64_t steps) : model_(model), batch_(batch) {
    const ir::Graph built = ir::build_graph(model, Rules::kAny).value();
    for (size_t i = 0; i < built.inputs.size(); ++i) {
      const int64_t channels = built.tensors[static_cast<size_t>(built.inputs[i])].channels;
      steps_.push_back(built.pinned_steps[i].value_or(steps));
      inputs_.push_back(
          cli::random_floats(batch * steps_.back() * channels, cli::DataKind::kSpecial, 7 * i + 1));
    }
    expected_ = ir::interpret(built, inputs_, batch, steps_, [](const Activation& a, float x) {
      return a.kind == ActivationKind::kRelu ? (0.0F > x ? 0.0F : x) : x;
    })[0];
  }

  std::vector<uint32_t> expected() const { return test::bits_of(expected_); }

  std::vector<uint32_t> run(const test::Place& place, KernelCache& kernels) const {
    const auto compiled = compile_graph(optimized_graph(model_, Rules::kAny).value(), place.backend,
                                        place.isa, std::string_view(), kernels)
                              .value();
    std::vector<std::span<const float>> arrays;
    for (const ir::Array& array : compiled->graph.arrays) arrays.emplace_back(array.data);
    const auto weights = pack_graph(compiled, arrays);
    std::vector<const float*> in;
    for (const std::vector<float>& input : inputs_) in.push_back(input.data());
    std::vector<float> out(expected_.size(), 9.0F);
    float* const data = out.data();
    EXPECT_EQ(run_graph(*compiled, *weights, in, {&data, 1}, batch_, steps_, {}), RunStatus::kOk);
    return test::bits_of(out);
  }

 private:
  const ModelSpec& model_;
  int64_t batch_;
  std::vector<int64_t> steps_;
  std::vector<std::vector<float>> inputs_;
  std::vector<float> expected_;
};

// Activations with formulas of their own are tested elsewhere.
bool is_exact(const std::string& name) {
  return name != "tanh" && name != "sigmoid" && name != "gelu" && name.find("softmax") == std::string::npos;
}

// LLVM takes its time for each: it is asked for channels of one number.
std::vector<test::Place> places_for(int64_t channels) {
  std::vector<test::Place> places = test::places_of(Backend::kXbyak);
  places.push_back({Backend::kInterp, Isa::kBaseline});
  if (channels == 3 && test::llvm_is_built()) places.push_back({Backend::kLlvm, detect_isa()});
  return places;
}

TEST(PassKinds, GiveTheBitsOfTheGraph) {
  KernelCache kernels;
  for (const int64_t channels : {1, 2, 3, 7, 20, 64}) {
    for (const Pass& pass : all_passes(channels)) {
      if (!is_exact(pass.name)) continue;
      for (const int64_t steps : {9, 131}) {
        const Call call(pass.model, 2, steps);
        for (const test::Place& place : places_for(channels)) {
          ASSERT_EQ(call.expected(), call.run(place, kernels))
              << pass.name << " of " << channels << " channels, " << steps << " steps, " << name_of(place);
        }
      }
    }
  }
}

// Long enough that passes run chunk by chunk, and that means count by thousands.
TEST(PassKinds, GiveTheBitsOfTheGraphOverManySteps) {
  KernelCache kernels;
  for (const Pass& pass : all_passes(3)) {
    const bool is_wanted = pass.name == "add3" || pass.name == "add6" || pass.name == "average3" ||
                           pass.name == "multiply3" || pass.name.starts_with("global");
    if (!is_wanted) continue;
    const Call call(pass.model, 1, 70003);
    for (const test::Place& place : test::places_of(Backend::kXbyak)) {
      ASSERT_EQ(call.expected(), call.run(place, kernels)) << pass.name << " " << name_of(place);
    }
  }
}

// Quotients by powers of two are products, of denormal values, too.
TEST(PassKinds, AveragesAreQuotients) {
  KernelCache kernels;
  const float values[] = {1e-45F, 3e-45F, -1e-45F, 1e-38F, 0.1F, 3.4e38F, -0.0F, 7.0F};
  for (const Pass& pass : all_passes(1)) {
    if (pass.name != "average" && pass.name != "average3" && pass.name != "mean_pool2") continue;
    const size_t count = pass.name == "average3" ? 3 : 2;
    const auto compiled = compile_graph(optimized_graph(pass.model, Rules::kAny).value(), Backend::kInterp,
                                        Isa::kAvx512, std::string_view(), kernels)
                              .value();
    std::vector<std::span<const float>> arrays;
    for (const ir::Array& array : compiled->graph.arrays) arrays.emplace_back(array.data);
    const auto weights = pack_graph(compiled, arrays);
    for (const float a : values) {
      for (const float b : values) {
        const std::vector<float> pair{a, b};
        std::vector<const float*> in(compiled->graph.inputs.size(), pair.data());
        if (in.size() > 1) in[1] = pair.data() + 1;
        const std::vector<int64_t> steps(in.size(), in.size() > 1 ? 1 : 2);
        float y = 9;
        float* const out = &y;
        ASSERT_EQ(run_graph(*compiled, *weights, in, {&out, 1}, 1, steps, {}), RunStatus::kOk);
        const float sum = count == 3 ? a + b + a : in.size() > 1 ? a + b : 0.0F + a + b;
        EXPECT_EQ(std::bit_cast<uint32_t>(y), std::bit_cast<uint32_t>(sum / static_cast<float>(count)))
            << pass.name << " of " << a << " and " << b;
      }
    }
  }
}

}  // namespace
}  // namespace convsmith::bench
