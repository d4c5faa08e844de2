// Every operation of vir on AVX2 and AVX-512 against the interpreter, bit for bit: every place of
// the destination (new, or in the register of one operand) and every operand that may be folded.
#include <functional>

#include "tests/codegen/op_programs.hpp"
#include "tests/codegen/x86_decode.hpp"
#include "tests/codegen/x86_support.hpp"

namespace convsmith::x86_test {
namespace {

using vir::Builder;
using vir::I;
using vir::M;
using vir::Opcode;
using vir::P;
using vir::V;

constexpr size_t kValues = 48;

// All pairs of the interesting floats in `in` and `weights`, a third operand in `scratch`.
struct Operands {
  std::vector<uint32_t> a, b, c;
  Operands() {
    const std::vector<uint32_t> values = interesting_floats(kValues, 1);
    std::mt19937 random(2);
    for (const uint32_t x : values) {
      for (const uint32_t y : values) {
        a.push_back(x);
        b.push_back(y);
        c.push_back(values[random() % values.size()]);
      }
    }
  }
};

std::vector<uint32_t> run(const Kernel& kernel, int lanes, size_t results) {
  static const Operands operands;
  const size_t steps = operands.a.size() / static_cast<size_t>(lanes);
  std::vector<uint32_t> scratch = operands.c;
  std::vector<uint32_t> out(operands.a.size() * results + 64, 0x12345678);
  KernelArgs args{};
  args.kIn = floats(operands.a);
  args.kWeights = floats(operands.b);
  args.kScratch = floats(scratch);
  args.kOut = floats(out);
  args.kSteps = static_cast<int64_t>(steps);
  kernel.run(args);
  return canonical(out);
}

struct Pointers {
  P a, b, c, out;
  I step;
};

// A loop over all operand triples; `body` emits the operation and stores `results` vectors.
vir::Program over_operands(const std::string& name, int lanes, int results,
                           const std::function<void(Builder&, const Pointers&)>& body) {
  Builder b(name, lanes);
  const Pointers p{b.arg_ptr(vir::Arg::kIn), b.arg_ptr(vir::Arg::kWeights), b.arg_ptr(vir::Arg::kScratch),
                   b.arg_ptr(vir::Arg::kOut), b.iconst(0)};
  const I count = b.arg_int(vir::Arg::kSteps);
  b.loop(count, "steps", [&] {
    body(b, p);
    for (const P& in : {p.a, p.b, p.c}) b.paddc(in, in, b.vector_bytes());
    b.paddc(p.out, p.out, b.vector_bytes() * results);
    b.iaddc(p.step, p.step, 1);
  });
  return b.take();
}

void expect_same(const vir::Program& program, const Target& target, size_t results = 1) {
  const auto expected = run(*interp::make_kernel(program), program.lanes, results);
  const auto got = run(*compile(program, target), program.lanes, results);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(expected[i], got[i]) << "word " << i << " of\n" << vir::print(program);
  }
}

class X86Ops : public testing::TestWithParam<Target> {};
INSTANTIATE_TEST_SUITE_P(Targets, X86Ops, testing::ValuesIn(targets()),
                         [](const auto& target) { return std::string(target.param.name); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(X86Ops);

// The programs that all back ends share; they cover the whole table.
TEST_P(X86Ops, EveryOperationGivesTheInterpretersBits) {
  const int lanes = GetParam().lanes;
  for (const vir::Program& program : vir::op_programs(lanes)) {
    const x86::MachineCode code = assemble(program, GetParam());
    EXPECT_TRUE(audit(code, GetParam()).empty()) << vir::print(program);
    const auto kernel = publish(code);
    const auto judge = interp::make_kernel(program);
    for (const auto& [a, b] : vir::op_integers()) {
      const KernelArgs args = vir::op_args(a, b);
      ASSERT_EQ(vir::run_op_program(*judge, lanes, args), vir::run_op_program(*kernel, lanes, args))
          << "integers " << a << ", " << b << "\n"
          << vir::print(program);
    }
  }
}

enum class Source { kLoad, kBcast, kConst };

// d = op(operands 1..arity). The operand `last` is made right before the operation, so that it folds
// where the back end folds; 0: none is. The result goes to the register of operand `place`, 0: to one
// of its own.
vir::Program one_operation(Opcode op, size_t arity, int lanes, size_t last, Source source, size_t place) {
  const std::string name =
      std::string(vir::info(op).text) + ".last" + std::to_string(last) + ".place" + std::to_string(place);
  return over_operands(name, lanes, 1, [&](Builder& b, const Pointers& p) {
    const std::array<P, 4> from = {p.a, p.a, p.b, p.c};
    std::array<V, 4> v{};
    for (size_t k = 1; k <= arity; ++k) v[k] = b.vec();
    for (size_t k = 1; k <= arity; ++k) {
      if (k != last) b.load(v[k], from[k], 0);
    }
    const I unused = b.iconst(0);  // nothing before this is next to the operation
    if (last != 0) {
      switch (source) {
        case Source::kLoad:
          b.load(v[last], from[last], 0);
          break;
        case Source::kBcast:
          b.bcast(v[last], from[last], 4);
          break;
        case Source::kConst:
          b.constant(v[last], -1.5F);
          break;
      }
    }
    const vir::OpInfo& facts = vir::info(op);
    if (facts.signature[0] == 'M') {
      const M m = op == Opcode::kLess        ? b.less(v[1], v[2])
                  : op == Opcode::kLessEqual ? b.less_equal(v[1], v[2])
                  : op == Opcode::kEqual     ? b.equal(v[1], v[2])
                                             : b.unordered(v[1], v[2]);
      b.store(p.out, 0, b.select(m, b.constant(1), b.constant(2)));
      return;
    }
    const V d = place == 0 ? b.vec() : v[place];
    if (op == Opcode::kFma) {
      b.fma(d, v[1], v[2], v[3]);
    } else if (op == Opcode::kCopy) {
      b.copy(d, v[1]);
    } else {
      b.op(op, d, v[1], v[2]);
    }
    b.store(p.out, 0, d);
    b.iaddc(p.step, unused, 0);
  });
}

TEST_P(X86Ops, ArithmeticWithEveryPlaceAndFold) {
  const std::vector<std::pair<Opcode, size_t>> operations = {
      {Opcode::kCopy, 1},     {Opcode::kFma, 3},     {Opcode::kAdd, 2},       {Opcode::kSub, 2},
      {Opcode::kMul, 2},      {Opcode::kDiv, 2},     {Opcode::kMax, 2},       {Opcode::kMin, 2},
      {Opcode::kAnd, 2},      {Opcode::kOr, 2},      {Opcode::kXor, 2},       {Opcode::kAdd32, 2},
      {Opcode::kSub32, 2},    {Opcode::kZip32Lo, 2}, {Opcode::kZip32Hi, 2},   {Opcode::kZip64Lo, 2},
      {Opcode::kZip64Hi, 2},  {Opcode::kLess, 2},    {Opcode::kLessEqual, 2}, {Opcode::kEqual, 2},
      {Opcode::kUnordered, 2}};
  for (const auto& [op, arity] : operations) {
    for (size_t last = 0; last <= arity; ++last) {
      for (const Source source : {Source::kLoad, Source::kBcast, Source::kConst}) {
        for (size_t place = 0; place <= arity; ++place) {
          expect_same(one_operation(op, arity, GetParam().lanes, last, source, place), GetParam());
        }
      }
    }
  }
}

TEST_P(X86Ops, OneRegisterAsSeveralOperands) {
  const auto body = [](Builder& b, const Pointers& p) {
    const V x = b.load(p.a, 0);
    const V y = b.load(p.b, 0);
    b.store(p.out, 0 * b.vector_bytes(), b.fma(x, x, y));
    b.store(p.out, 1 * b.vector_bytes(), b.fma(x, y, x));
    b.store(p.out, 2 * b.vector_bytes(), b.sub(y, y));
    b.fma(y, y, x, y);
    b.store(p.out, 3 * b.vector_bytes(), y);
    b.fma(x, x, x, x);
    b.store(p.out, 4 * b.vector_bytes(), x);
  };
  expect_same(over_operands("several", GetParam().lanes, 5, body), GetParam(), 5);
}

TEST_P(X86Ops, UnaryShiftsAndConstants) {
  const auto body = [](Builder& b, const Pointers& p) {
    const V x = b.load(p.a, 0);
    int64_t at = 0;
    const auto out = [&](V v) { b.store(p.out, b.vector_bytes() * at++, v); };
    out(b.sqrt(x));
    for (const int n : {0, 1, 9, 23, 31}) {
      out(b.shl32(x, n));
      out(b.shr32(x, n));
    }
    for (const uint32_t bits : {0U, 1U, 0x80000000U, 0x3f800000U, 0xffffffffU}) out(b.constant_bits(bits));
  };
  expect_same(over_operands("unary", GetParam().lanes, 16, body), GetParam(), 16);
}

TEST_P(X86Ops, Select) {
  for (const int last : {0, 1, 2}) {
    const auto body = [&](Builder& b, const Pointers& p) {
      const V x = b.load(p.a, 0);
      const V y = b.load(p.b, 0);
      const M m = b.less(x, y);
      const V u = b.vec();
      const V w = b.vec();
      b.load(w, p.c, 0);
      if (last == 2) b.constant(u, 7);
      if (last != 2) b.load(u, p.b, 4);
      if (last == 0) b.iaddc(p.step, p.step, 0);
      const V d = b.select(m, u, w);
      b.store(p.out, 0, d);
      b.store(p.out, b.vector_bytes(), b.select(m, d, x));
      b.store(p.out, 2 * b.vector_bytes(), y);
    };
    expect_same(over_operands("select", GetParam().lanes, 3, body), GetParam(), 3);
  }
}

TEST_P(X86Ops, Blocks) {
  const int lanes = GetParam().lanes;
  const int blocks = lanes / 4;
  const int patterns = lanes == 8 ? 16 : 256;
  for (int n = 0; n < patterns; ++n) {
    int64_t pattern = 0;
    if (blocks == 2) {
      pattern = (n & 3) | (n >> 2) << 4;
    } else {
      for (int j = 0; j < 4; ++j)
        pattern |= static_cast<int64_t>((n >> (2 * j) & 3) + (j < 2 ? 0 : 4)) << (4 * j);
    }
    const auto body = [&](Builder& b, const Pointers& p) {
      b.store(p.out, 0, b.blocks(b.load(p.a, 0), b.load(p.b, 0), pattern));
    };
    expect_same(over_operands("blocks" + std::to_string(n), lanes, 1, body), GetParam());
  }
}

TEST_P(X86Ops, FirstAndMaskedMemory) {
  const int lanes = GetParam().lanes;
  const auto body = [&](Builder& b, const Pointers& p) {
    // step mod (lanes + 1)
    const I n = b.isub(p.step, b.imulc(b.idivc(p.step, lanes + 1), lanes + 1));
    const M m = b.first(n);
    const V x = b.vec();
    b.load(x, p.a, 0, m);
    b.store(p.out, 0, x);
    b.store(p.out, b.vector_bytes(), b.load(p.b, 0), m);
    const M odd = b.less(b.load(p.a, 0), b.load(p.b, 0));
    b.load(x, p.c, 0, odd);
    b.store(p.out, 2 * b.vector_bytes(), x);
    b.store(p.out, 3 * b.vector_bytes(), x, odd);
  };
  expect_same(over_operands("masked", lanes, 4, body), GetParam(), 4);
}

TEST(X86Assemble, RefusesWhatItCannotMake) {
  Builder wrong("wrong", 8);
  EXPECT_EQ(x86::assemble(wrong.take(), target_for(Isa::kAvx512)).error().code, ErrorCode::kUnsupported);
  Builder baseline("baseline", 4);
  EXPECT_EQ(x86::assemble(baseline.take(), target_for(Isa::kBaseline)).error().code, ErrorCode::kUnavailable);

  Builder b("crowded", 8);
  const P in = b.arg_ptr(vir::Arg::kIn);
  std::vector<V> v;
  for (int i = 0; i < 17; ++i) v.push_back(b.load(in, 32 * i));
  for (const V& x : v) b.store(in, 0, x);
  const auto crowded = x86::assemble(b.take(), target_for(Isa::kAvx2));
  ASSERT_FALSE(crowded.has_value());
  EXPECT_EQ(crowded.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(
      crowded.error().message,
      "vir program 'crowded' needs 17 vector registers (the first too many at instruction 17); avx2 has 16.");
}

}  // namespace
}  // namespace convsmith::x86_test
