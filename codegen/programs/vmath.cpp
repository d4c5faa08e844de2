#include "codegen/programs/vmath.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "codegen/programs/vmath_emitter.hpp"
#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"

namespace convsmith {

namespace vmath {

namespace {

// The largest number of vectors and masks alive at once in a straight-line program whose first
// instruction stands for the definition of x and whose last one reads the result.
int peak_live(const std::vector<vir::Inst>& body) {
  const auto tracked = [](const vir::Use& use) {
    return use.kind == vir::Kind::kVec || use.kind == vir::Kind::kMask;
  };
  const auto key = [](const vir::Use& use) { return use.id * 2 + (use.kind == vir::Kind::kMask ? 1 : 0); };
  std::vector<int> live;
  size_t peak = 0;
  // Backwards: a value is alive from its definition to its last use.
  for (size_t i = body.size(); i-- > 0;) {
    const vir::Uses uses = vir::uses(body[i]);
    for (const vir::Use& use : uses) {
      if (tracked(use) && use.written) std::erase(live, key(use));
    }
    for (const vir::Use& use : uses) {
      if (tracked(use) && use.read && std::ranges::find(live, key(use)) == live.end())
        live.push_back(key(use));
    }
    peak = std::max(peak, live.size());
  }
  return static_cast<int>(peak);
}

}  // namespace

Cost cost(const Activation& activation) {
  vir::Builder builder("cost", 8);
  const vir::P p = builder.arg_ptr(vir::Arg::kIn);
  const vir::V x = builder.load(p, 0);
  const vir::V y = emit_activation(builder, activation, x);
  builder.store(p, 0, y);
  const vir::Program program = builder.take();
  Cost result;
  for (const vir::Inst& inst : program.body) {
    if (inst.op == vir::Opcode::kConst) ++result.constants;
    if (inst.op == vir::Opcode::kDiv || inst.op == vir::Opcode::kSqrt) result.divides = true;
  }
  constexpr int kFrame = 3;  // the argument, the load, the store
  result.operations = static_cast<int>(program.body.size()) - result.constants - kFrame;
  result.live_registers = peak_live(program.body);
  return result;
}

}  // namespace vmath

vir::V emit_activation(vir::Builder& builder, const Activation& activation, vir::V x) {
  vmath::Emitter e(builder);
  const auto [p0, p1, p2] = activation.params;
  switch (activation.kind) {
    case ActivationKind::kLinear:
      return x;
    case ActivationKind::kRelu:
      return vmath::emit_relu(e, x, p0, p1, p2);
    case ActivationKind::kElu:
      return vmath::emit_elu(e, x, p0);
    case ActivationKind::kSelu:
      return vmath::emit_selu(e, x);
    case ActivationKind::kCelu:
      return vmath::emit_celu(e, x, p0);
    case ActivationKind::kGelu:
      return vmath::emit_gelu(e, x);
    case ActivationKind::kGeluTanh:
      return vmath::emit_gelu_tanh(e, x);
    case ActivationKind::kSigmoid:
      return vmath::emit_sigmoid(e, x);
    case ActivationKind::kLogSigmoid:
      return vmath::emit_log_sigmoid(e, x);
    case ActivationKind::kHardSigmoidKeras2:
      return vmath::emit_hard_sigmoid_keras2(e, x);
    case ActivationKind::kHardSigmoidKeras3:
      return vmath::emit_hard_sigmoid_keras3(e, x);
    case ActivationKind::kSilu:
      return vmath::emit_silu(e, x);
    case ActivationKind::kHardSilu:
      return vmath::emit_hard_silu(e, x);
    case ActivationKind::kMish:
      return vmath::emit_mish(e, x);
    case ActivationKind::kTanh:
      return vmath::emit_tanh(e, x);
    case ActivationKind::kTanhShrink:
      return vmath::emit_tanh_shrink(e, x);
    case ActivationKind::kHardTanh:
      return vmath::emit_hard_tanh(e, x);
    case ActivationKind::kSoftplus:
      return vmath::emit_softplus(e, x);
    case ActivationKind::kSoftsign:
      return vmath::emit_softsign(e, x);
    case ActivationKind::kExponential:
      return vmath::emit_exponential(e, x);
    case ActivationKind::kSquareplus:
      return vmath::emit_squareplus(e, x, p0);
    case ActivationKind::kSparsePlus:
      return vmath::emit_sparse_plus(e, x);
    case ActivationKind::kSparseSigmoid:
      return vmath::emit_sparse_sigmoid(e, x);
    case ActivationKind::kSoftShrink:
      return vmath::emit_soft_shrink(e, x, p0);
    case ActivationKind::kHardShrink:
      return vmath::emit_hard_shrink(e, x, p0);
    case ActivationKind::kThreshold:
      return vmath::emit_threshold(e, x, p0, p1);
    case ActivationKind::kSoftmax:
    case ActivationKind::kLogSoftmax:
    case ActivationKind::kSparsemax:
    case ActivationKind::kGlu:
      CONVSMITH_CHECK(is_elementwise(activation.kind), "an activation along an axis is a pass of its own");
  }
  fail_check(__FILE__, __LINE__, "an activation kind without a program");
}

vir::V emit_log(vir::Builder& builder, vir::V x) {
  vmath::Emitter e(builder);
  return vmath::emit_log(e, x);
}

bool is_cheap(const Activation& activation) {
  constexpr int kOperations = 6;
  constexpr int kLive = 3;  // x and two more
  const vmath::Cost c = vmath::cost(activation);
  return c.operations <= kOperations && c.live_registers <= kLive && !c.divides;
}

}  // namespace convsmith
