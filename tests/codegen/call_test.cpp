// Calls between vir functions on both machine code back ends, against the interpreter.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "codegen/code_memory.hpp"
#include "codegen/control_word.hpp"
#include "codegen/interp/interp.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "codegen/x86/image.hpp"
#include "tests/codegen/call_programs.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {

namespace {

class CallTest : public testing::TestWithParam<Place> {};

INSTANTIATE_TEST_SUITE_P(Places, CallTest, testing::ValuesIn(machine_code_places()),
                         [](const auto& info) { return name_of(info.param); });

struct Pool {
  void (*run)(Pool* pool, void (*task)(void* context, size_t i), void* context, size_t count);
  Pool* pool;
  int64_t threads;
  size_t tasks = 0;
};

void run_backwards(Pool* pool, void (*task)(void* context, size_t i), void* context, size_t count) {
  pool->tasks += count;
  for (size_t i = count; i-- > 0;) task(context, i);
}

// The image with its table behind it, in memory where it runs.
struct Loaded {
  CodeImage image;
  CodeBlock block;
  std::byte* table;

  template <class Function>
  Function* function(size_t i) const {
    return reinterpret_cast<Function*>(
        reinterpret_cast<uintptr_t>(block.execute_view() + image.functions[i].offset));
  }
};

Loaded load(CodeImage image, const std::array<int64_t, 2>& table) {
  static CodeMemory memory = CodeMemory::create().value();
  const size_t at = (image.bytes.size() + 7) / 8 * 8;
  CodeBlock block = memory.allocate(at + sizeof table).value();
  std::memcpy(block.write_view(), image.bytes.data(), image.bytes.size());
  std::memcpy(block.write_view() + at, table.data(), sizeof table);
  for (const CodeImage::Reference& reference : image.references) {
    EXPECT_EQ(reference.name, "table");
    const auto distance = static_cast<int32_t>(static_cast<int64_t>(at) + reference.addend -
                                               static_cast<int64_t>(reference.offset));
    std::memcpy(block.write_view() + reference.offset, &distance, sizeof distance);
  }
  auto* const execute = const_cast<std::byte*>(block.execute_view()) + at;
  return {std::move(image), std::move(block), execute};
}

TEST_P(CallTest, FunctionsCallForkAndAnswer) {
  const Target& target = target_for(GetParam().isa);
  const std::vector<vir::Program> functions = vir::call_programs(target.lanes);
  for (const vir::Program& function : functions) {
    const auto ok = vir::verify(function);
    ASSERT_TRUE(ok) << ok.error().message;
    EXPECT_EQ(vir::parse(vir::print(function)).value(), function);
  }
  auto image = GetParam().backend == Backend::kXbyak
                   ? x86::assemble_image(functions, target)
                   : load_llvm_module().value()->compile(functions, target, true);
  ASSERT_TRUE(image) << image.error().message;
  const std::array<int64_t, 2> table = {11, 1234567};
  const Loaded loaded = load(std::move(*image), table);

  constexpr float kTiny = 1e-40F;
  constexpr int64_t kSticky = 0x3f;
  const int64_t modes = control_word();
  for (const float weight : {0.5F, kTiny}) {
    for (const int64_t steps : {0, 1, 3}) {
      for (const int64_t parts : {0, 1, 4}) {
        const auto lanes = static_cast<size_t>(target.lanes);
        std::vector<float> in(8 * lanes);
        std::iota(in.begin(), in.end(), 0.0F);
        int64_t far = 77;
        struct {
          int64_t number = 1000;
          int64_t* pointer = nullptr;
        } numbers;
        numbers.pointer = &far;
        std::vector<float> expected(8 * lanes, -1.0F);
        std::vector<float> out = expected;
        Pool pool{run_backwards, &pool, 1};
        KernelArgs args{};
        args.kIn = in.data();
        args.kWeights = &weight;
        args.kOut = expected.data();
        args.kOperand = reinterpret_cast<const float*>(&numbers);
        args.kSteps = steps;
        args.kSampleEnd = parts;
        args.kParallel = &pool;
        const auto lookup = [&](const std::string&) { return const_cast<int64_t*>(table.data()); };
        const int64_t wanted = interp::run_function(functions, "main", args, lookup);
        using Main = int64_t(const float*, const float*, float*, void*, int64_t, int64_t, Pool*);
        const int64_t got =
            loaded.function<Main>(2)(in.data(), &weight, out.data(), &numbers, steps, parts, &pool);
        EXPECT_EQ(got, wanted) << steps << " steps, " << parts << " parts";
        EXPECT_EQ(out, expected) << steps << " steps, " << parts << " parts";
        EXPECT_EQ(pool.tasks, static_cast<size_t>(parts));
        // in[0] is 0.
        if (steps > 0) {
          EXPECT_EQ(out[0], weight);
        }
        if (parts > 0) {
          EXPECT_EQ(out[static_cast<size_t>(steps) * lanes], weight == kTiny ? 0.0F : weight);
        }
        EXPECT_EQ(control_word() & ~kSticky, modes & ~kSticky);
      }
    }
  }
  EXPECT_EQ(loaded.function<const void*(int64_t)>(3)(0), loaded.table);
}

TEST(CallVerify, WhatCallsMayNotUseVectors) {
  vir::Builder b("mixed", 8);
  b.constant(1.0F);
  b.call("other");
  const auto ok = vir::verify(b.take());
  ASSERT_FALSE(ok);
  EXPECT_NE(ok.error().message.find("may not use vectors"), std::string::npos) << ok.error().message;
}

TEST(CallVerify, AResultStandsLast) {
  vir::Builder b("early", 8);
  const vir::I one = b.iconst(1);
  b.result(one);
  b.iaddc(one, 1);
  EXPECT_FALSE(vir::verify(b.take()));
}

TEST(CallVerify, AProgramOfItsOwnCallsNobody) {
  for (const vir::Program& function : vir::call_programs(8)) EXPECT_FALSE(vir::verify_alone(function));
}

TEST(CallVerify, ACFunctionReadsOnlyItsParameters) {
  vir::Builder b("c", 8);
  b.set_params({vir::Arg::kSteps});
  b.result(b.arg_int(vir::Arg::kPadLeft));
  const auto ok = vir::verify(b.take());
  ASSERT_FALSE(ok);
  EXPECT_NE(ok.error().message.find("not among the function's parameters"), std::string::npos);
}

}  // namespace

}  // namespace convsmith::test
