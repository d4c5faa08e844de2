// Accuracy, limits and cost of the activation programs, executed by the interpreter. Every float is walked
// by scripts/vmath_ulp.cpp; here is a sample of them.
#include "codegen/programs/vmath.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "codegen/interp/interp.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "convsmith/activation.hpp"
#include "scripts/vmath_ulp_reference.hpp"
#include "tests/support/places.hpp"

namespace convsmith {
namespace {

using reference::Case;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr int kLanes = 16;

// arg.int steps vectors from `in` to `out`.
vir::Program make_program(const Activation& activation) {
  vir::Builder b("activation", kLanes);
  const vir::P in = b.arg_ptr(vir::Arg::kIn);
  const vir::P out = b.arg_ptr(vir::Arg::kOut);
  const vir::I vectors = b.arg_int(vir::Arg::kSteps);
  b.loop(vectors, "vectors", [&] {
    const vir::V x = b.load(in, 0);
    b.store(out, 0, emit_activation(b, activation, x));
    b.paddc(in, in, b.vector_bytes());
    b.paddc(out, out, b.vector_bytes());
  });
  return b.take();
}

std::vector<float> run_on(const Activation& activation, std::vector<float> x) {
  const size_t size = x.size();
  x.resize((size + kLanes - 1) / kLanes * kLanes);
  std::vector<float> y(x.size());
  KernelArgs args{};
  args.kIn = x.data();
  args.kOut = y.data();
  args.kSteps = static_cast<int64_t>(x.size() / kLanes);
  interp::make_kernel(make_program(activation))->run(args);
  y.resize(size);
  return y;
}

// The largest error in ULP, denormal results included, and how often NaN came from a number or a number
// from NaN.
struct Worst {
  double ulp = 0;
  float x = 0, y = 0;
  double exact = 0;
  int nan_mistakes = 0;
};
Worst compare(const std::vector<float>& x, const std::vector<float>& y, auto exact_of) {
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = exact_of(i);
    if (std::isnan(exact) || std::isnan(y[i])) {
      worst.nan_mistakes += std::isnan(exact) != std::isnan(y[i]);
      continue;
    }
    const double ulp = reference::ulp_error(y[i], exact);
    if (ulp > worst.ulp) worst = {ulp, x[i], y[i], exact, worst.nan_mistakes};
  }
  return worst;
}

// Every 19997th of all bit patterns, and neighbourhoods of the ends and of the joints of the programs.
std::vector<float> sample() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 19997) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  for (const float point :
       {0x1p-149F,   0x1p-126F, 1e-30F,   0x1p-26F, 0.01F,    0.05F,          0.07F,   0.2F,
        0.34657359F, 0.5F,      0.6F,     1.0F,     1.25F,    2.0F,           2.5F,    3.0F,
        4.0F,        6.0F,      8.3F,     10.0F,    11.0F,    12.0F,          13.0F,   14.5F,
        16.0F,       30.0F,     87.3365F, 88.722F,  89.0F,    91.9F,          103.97F, 104.0F,
        110.0F,      0x1p23F,   0x1p60F,  0x1p64F,  0x1p126F, 0x1.fffffep127F}) {
    const auto bits = std::bit_cast<uint32_t>(point);
    for (uint32_t j = 0; j < 400; ++j) {
      const float near = std::bit_cast<float>(bits - std::min(bits, 200U) + j);
      x.push_back(near);
      x.push_back(-near);
    }
  }
  return x;
}

class Vmath : public testing::TestWithParam<Case> {};

TEST_P(Vmath, StaysWithinItsBound) {
  static const std::vector<float> x = sample();
  const Activation& activation = GetParam().activation;
  const Worst worst =
      compare(x, run_on(activation, x), [&](size_t i) { return reference::evaluate(activation, x[i]); });
  EXPECT_EQ(worst.nan_mistakes, 0);
  EXPECT_LE(worst.ulp, GetParam().bound)
      << "x = " << worst.x << " (" << std::hex << std::bit_cast<uint32_t>(worst.x) << "), got " << worst.y
      << ", exact " << worst.exact;
}

TEST_P(Vmath, HasTheLimitsAtInfinity) {
  const Activation& activation = GetParam().activation;
  const std::vector<float> y = run_on(activation, {kInf, -kInf});
  EXPECT_EQ(y[0], static_cast<float>(reference::evaluate(activation, kInf)));
  EXPECT_EQ(y[1], static_cast<float>(reference::evaluate(activation, -kInf)));
}

TEST_P(Vmath, KeepsNaN) {
  std::vector<float> x;
  // Quiet, of both signs, with payloads that would be exponents after a shift.
  for (const uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7fc00001U, 0x7fc001ffU, 0xffffffffU, 0x7fffffffU}) {
    x.push_back(std::bit_cast<float>(bits));
  }
  for (const float y : run_on(GetParam().activation, x)) EXPECT_TRUE(std::isnan(y)) << y;
}

bool is_odd(const Activation& a) {
  using K = ActivationKind;
  switch (a.kind) {
    case K::kLinear:
    case K::kTanh:
    case K::kTanhShrink:
    case K::kHardTanh:
    case K::kSoftsign:
    case K::kHardShrink:
      return true;
    case K::kSoftShrink:
      return a.params[0] >= 0;
    default:
      return false;
  }
}

TEST(VmathSigns, OddFunctionsAreOddBitForBit) {
  for (const Case& c : reference::cases()) {
    if (!is_odd(c.activation)) continue;
    const std::vector<float> y =
        run_on(c.activation, {0.0F, -0.0F, 1e-40F, -1e-40F, 0.3F, -0.3F, 7.0F, -7.0F});
    for (size_t i = 0; i < y.size(); i += 2) {
      EXPECT_FALSE(std::signbit(y[i])) << c.name << ", input " << i;
      EXPECT_EQ(std::bit_cast<uint32_t>(y[i]) | 0x80000000U, std::bit_cast<uint32_t>(y[i + 1])) << c.name;
    }
  }
}

TEST(VmathSigns, MinusZeroStaysWhereTheFunctionIsXTimesAGate) {
  using K = ActivationKind;
  for (const K kind :
       {K::kGelu, K::kGeluTanh, K::kSilu, K::kHardSilu, K::kMish, K::kElu, K::kSelu, K::kCelu}) {
    const std::vector<float> y = run_on({kind, {1}}, {0.0F, -0.0F});
    EXPECT_EQ(std::bit_cast<uint32_t>(y[0]), 0U) << static_cast<int>(kind);
    EXPECT_EQ(std::bit_cast<uint32_t>(y[1]), 0x80000000U) << static_cast<int>(kind);
  }
}

// Vectors and masks alive at once, counted from intervals of definition and last use.
int count_live(const vir::Program& program) {
  std::vector<std::pair<size_t, size_t>> interval[2];
  for (std::vector<std::pair<size_t, size_t>>& kind : interval) kind.resize(65536, {SIZE_MAX, 0});
  for (size_t i = 0; i < program.body.size(); ++i) {
    for (const vir::Use& use : vir::uses(program.body[i])) {
      if (use.kind != vir::Kind::kVec && use.kind != vir::Kind::kMask) continue;
      auto& [first, last] = interval[use.kind == vir::Kind::kMask ? 1 : 0][use.id];
      EXPECT_FALSE(use.written && first != SIZE_MAX) << "a register is written twice";
      if (use.written) first = i;
      last = i;
    }
  }
  int peak = 0;
  for (size_t i = 0; i < program.body.size(); ++i) {
    int live = 0;
    for (const auto& kind : interval) {
      for (const auto& [first, last] : kind) live += first <= i && i < last;
    }
    peak = std::max(peak, live);
  }
  return peak;
}

TEST_P(Vmath, NeedsFewRegisters) {
  const Activation& activation = GetParam().activation;
  const vir::Program program = make_program(activation);
  const auto verified = vir::verify(program);
  EXPECT_TRUE(verified) << verified.error().message;
  const int live = count_live(program);
  EXPECT_EQ(live, vmath::cost(activation).live_registers);
  EXPECT_LE(live, vmath::kMaxLive);
  if (is_cheap(activation)) {
    EXPECT_LE(live, 3) << vir::print(program);
  }
}

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : info.param.name) {
    if (c == '-') name += "minus";
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
    if (c == ' ' || c == '.' || c == '(') name += '_';
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, Vmath, testing::ValuesIn(reference::cases()), test_name);

TEST(VmathCost, LinesAndClampsAreCheapAndExponentialsAreNot) {
  using K = ActivationKind;
  for (const Activation& a :
       {Activation{}, make_relu(), make_relu(0, 6), make_relu(0.3F), make_relu(2), make_relu(0, kInf, 1),
        Activation{K::kHardTanh, {}}, Activation{K::kHardSigmoidKeras2, {}},
        Activation{K::kHardSigmoidKeras3, {}}, Activation{K::kThreshold, {1, 0}}}) {
    EXPECT_TRUE(is_cheap(a)) << static_cast<int>(a.kind);
  }
  for (const K kind : {K::kElu, K::kGelu, K::kSigmoid, K::kTanh, K::kExponential, K::kSoftsign}) {
    EXPECT_FALSE(is_cheap({kind, {1}})) << static_cast<int>(kind);
  }
}

TEST(VmathLinear, IsItsArgument) {
  vir::Builder b("linear", kLanes);
  const vir::V x = b.vec();
  EXPECT_EQ(emit_activation(b, {}, x).id, x.id);
  EXPECT_TRUE(b.take().body.empty());
}

TEST(VmathRelu, KeepsMinusZeroLikeMaxWithZeroFirst) {
  EXPECT_TRUE(std::signbit(run_on(make_relu(), {-0.0F})[0]));
  EXPECT_FALSE(std::signbit(run_on(make_relu(), {-1.0F})[0]));
}

TEST(VmathSquareplus, IsNaNWhereARootOfANegativeNumberIs) {
  const Activation a{ActivationKind::kSquareplus, {-4}};
  const std::vector<float> y = run_on(a, {1.0F, -1.0F, 3.0F, -3.0F, 1e30F, kInf});
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
  EXPECT_FLOAT_EQ(y[2], (3 + std::sqrt(5.0F)) / 2);
  EXPECT_FLOAT_EQ(y[3], (-3 + std::sqrt(5.0F)) / 2);
  EXPECT_EQ(y[4], 1e30F);
  EXPECT_EQ(y[5], kInf);
}

TEST(VmathCelu, IsReluForAlphaZero) {
  const std::vector<float> y =
      run_on({ActivationKind::kCelu, {0}}, {-kInf, -2.0F, -1e-40F, 0.0F, 3.0F, kInf});
  EXPECT_EQ(y, (std::vector<float>{0, 0, 0, 0, 3, kInf}));
}

// Every 11th float from 1 to 16, and every 4001st beyond.
TEST(VmathLog, StaysWithinTwoUlp) {
  std::vector<float> x;
  for (uint32_t bits = std::bit_cast<uint32_t>(1.0F); bits < std::bit_cast<uint32_t>(kInf);
       bits += bits < std::bit_cast<uint32_t>(16.0F) ? 11 : 4001) {
    x.push_back(std::bit_cast<float>(bits));
  }
  x.resize((x.size() + kLanes - 1) / kLanes * kLanes, 1.0F);
  vir::Builder b("log", kLanes);
  const vir::P in = b.arg_ptr(vir::Arg::kIn);
  b.loop(b.arg_int(vir::Arg::kSteps), "vectors", [&] {
    b.store(in, 0, emit_log(b, b.load(in, 0)));
    b.paddc(in, in, b.vector_bytes());
  });
  const auto kernel = interp::make_kernel(b.take());
  const auto log = [&](std::vector<float> values) {
    KernelArgs args{};
    args.kIn = values.data();
    args.kSteps = static_cast<int64_t>(values.size() / kLanes);
    kernel->run(args);
    return values;
  };
  const std::vector<float> y = log(x);
  const Worst worst = compare(x, y, [&](size_t i) { return std::log(static_cast<double>(x[i])); });
  EXPECT_LE(worst.ulp, 2.0) << "x = " << worst.x << ", got " << worst.y << ", exact " << worst.exact;
  EXPECT_EQ(worst.nan_mistakes, 0);
  EXPECT_EQ(std::bit_cast<uint32_t>(y[0]), 0U);
  for (const float nan : log(std::vector<float>(kLanes, kNaN))) EXPECT_TRUE(std::isnan(nan));
}

TEST(VmathDeathTest, KnowsNoActivationsAlongAnAxis) {
  for (const ActivationKind kind : {ActivationKind::kSoftmax, ActivationKind::kLogSoftmax,
                                    ActivationKind::kSparsemax, ActivationKind::kGlu}) {
    EXPECT_DEATH(is_cheap({kind, {}}), "a pass of its own");
  }
}

// --- Golden data: float64 evaluations of Keras's formulas, arguments as Keras takes them.

using Json = nlohmann::json;

Activation relu_from(const Json& kwargs, float slope) {
  return make_relu(kwargs.value("negative_slope", slope), kwargs.value("max_value", kInf),
                   kwargs.value("threshold", 0.0F));
}

// False for the ones that are not elementwise.
bool from_keras(const std::string& name, const Json& kwargs, bool keras2, Activation& a) {
  using K = ActivationKind;
  if (name == "relu") return a = relu_from(kwargs, 0), true;
  if (name == "relu6") return a = make_relu(0, 6), true;
  if (name == "leaky_relu") return a = relu_from(kwargs, 0.2F), true;
  if (name == "gelu") return a = {kwargs.value("approximate", false) ? K::kGeluTanh : K::kGelu, {}}, true;
  if (name == "hard_sigmoid") return a = {keras2 ? K::kHardSigmoidKeras2 : K::kHardSigmoidKeras3, {}}, true;
  struct Row {
    const char* name;
    K kind;
    const char* key;
    float value;
  };
  static const Row rows[] = {{"linear", K::kLinear, "", 0},
                             {"elu", K::kElu, "alpha", 1},
                             {"selu", K::kSelu, "", 0},
                             {"celu", K::kCelu, "alpha", 1},
                             {"sigmoid", K::kSigmoid, "", 0},
                             {"log_sigmoid", K::kLogSigmoid, "", 0},
                             {"silu", K::kSilu, "", 0},
                             {"swish", K::kSilu, "", 0},
                             {"hard_silu", K::kHardSilu, "", 0},
                             {"hard_swish", K::kHardSilu, "", 0},
                             {"mish", K::kMish, "", 0},
                             {"tanh", K::kTanh, "", 0},
                             {"tanh_shrink", K::kTanhShrink, "", 0},
                             {"hard_tanh", K::kHardTanh, "", 0},
                             {"softplus", K::kSoftplus, "", 0},
                             {"softsign", K::kSoftsign, "", 0},
                             {"exponential", K::kExponential, "", 0},
                             {"squareplus", K::kSquareplus, "b", 4},
                             {"sparse_plus", K::kSparsePlus, "", 0},
                             {"sparse_sigmoid", K::kSparseSigmoid, "", 0},
                             {"soft_shrink", K::kSoftShrink, "threshold", 0.5F},
                             {"hard_shrink", K::kHardShrink, "threshold", 0.5F},
                             {"threshold", K::kThreshold, "threshold", 0}};
  for (const Row& row : rows) {
    if (name != row.name) continue;
    a = {row.kind, {kwargs.value(row.key, row.value), kwargs.value("default_value", 0.0F)}};
    return true;
  }
  return false;
}

double promised(ActivationKind kind) {
  for (const Case& c : reference::cases()) {
    if (c.activation.kind == kind && kind != ActivationKind::kRelu) return c.bound;
  }
  return 1;  // relu
}

template <class T>
std::vector<T> read_tensor(const std::string& file, const Json& tensor) {
  std::vector<T> values(tensor["shape"][0].get<size_t>());
  std::ifstream in(file, std::ios::binary);
  in.seekg(tensor["offset"].get<std::streamoff>() * static_cast<std::streamoff>(sizeof(T)));
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  EXPECT_TRUE(in.good()) << file;
  return values;
}

TEST(VmathGolden, AgreesWithKerasFormulas) {
  const std::string base = places::test_data("activations");
  std::ifstream lines(base + ".jsonl");
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    Activation a;
    if (!row.contains("activation")) continue;
    const Json& name = row["activation"]["name"];
    if (!from_keras(name, row["activation"]["kwargs"], row["dialect"] == "keras2", a)) continue;
    ++rows;
    const std::vector<float> x = read_tensor<float>(base + ".f32", row["tensors"]["input"]);
    const std::vector<double> exact = read_tensor<double>(base + ".f64", row["tensors"]["output_f64"]);
    const Worst worst = compare(x, run_on(a, x), [&](size_t i) { return exact[i]; });
    EXPECT_EQ(worst.nan_mistakes, 0) << row["id"];
    EXPECT_LE(worst.ulp, promised(a.kind)) << row["id"] << " " << name << ": x = " << worst.x << ", got "
                                           << worst.y << ", exact " << worst.exact;
  }
  EXPECT_EQ(rows, 61);
}

// The first half of the last axis times the sigmoid of the second one.
TEST(VmathGolden, ASigmoidAndAProductMakeGlu) {
  const std::string base = places::test_data("activations");
  std::ifstream lines(base + ".jsonl");
  int rows = 0;
  for (std::string line; std::getline(lines, line);) {
    Json row = Json::parse(line);
    if (!row.contains("activation") || row["activation"]["name"] != "glu") continue;
    ++rows;
    size_t size = 1;
    for (const Json& axis : row["input_shape"]) size *= axis.get<size_t>();
    const size_t width = row["input_shape"].back().get<size_t>();
    const auto flat = [&](const char* name, size_t floats) {
      return Json{{"offset", row["tensors"][name]["offset"]}, {"shape", {floats}}};
    };
    const std::vector<float> x = read_tensor<float>(base + ".f32", flat("input", size));
    const std::vector<double> exact = read_tensor<double>(base + ".f64", flat("output_f64", size / 2));
    const std::vector<float> gates = run_on({ActivationKind::kSigmoid, {}}, x);
    std::vector<float> a;
    std::vector<float> y;
    for (size_t i = 0; i < size; ++i) {
      if (i % width >= width / 2) continue;
      a.push_back(x[i]);
      y.push_back(x[i] * gates[i + width / 2]);
    }
    const Worst worst = compare(a, y, [&](size_t i) { return exact[i]; });
    EXPECT_EQ(worst.nan_mistakes, 0);
    EXPECT_LE(worst.ulp, 4.0) << row["id"];
  }
  EXPECT_EQ(rows, 3);
}

}  // namespace
}  // namespace convsmith
