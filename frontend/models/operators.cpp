#include "frontend/models/operators.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "frontend/keras/activations.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/models/constants.hpp"
#include "frontend/models/layer_ops.hpp"

namespace convsmith::models {
namespace {

using Kind = Value::Kind;
using Arguments = std::span<const Value* const>;

constexpr std::string_view kPrefix = "keras.ops.";

tl::unexpected<Error> unsupported(std::string sentence) {
  return make_error(ErrorCode::kUnsupported, std::move(sentence));
}

struct Call {
  Fields fields;
  Arguments arguments;
};
using Binder = Result<LayerOp> (*)(const Call&);

// An operator of one tensor and nothing else.
Result<void> check_single(const Call& call) {
  for (std::size_t i = 0; i < call.arguments.size(); ++i) {
    const Value* value = call.arguments[i];
    if (i == 0 ? value == nullptr : value != nullptr && value->kind == Kind::kNone) continue;
    return unsupported(fmt::format("Only calls with one tensor are supported, got argument {}: {}.", i + 1,
                                   value == nullptr ? "a tensor" : describe(*value)));
  }
  return {};
}

Result<LayerOp> bind_identity(const Call&) {
  return IdentityOp{};
}

// A tensor and a constant, whichever comes first.
Result<LayerOp> bind_with_constant(MergeKind kind, Constant constant, bool comes_first) {
  if (kind == MergeKind::kMaximum || kind == MergeKind::kMinimum)
    return LimitOp{std::move(constant), kind == MergeKind::kMinimum};
  AffineOp op{filled(constant, 1.0), filled(constant, 0.0)};
  switch (kind) {
    case MergeKind::kAdd:
      op.shift = std::move(constant);
      break;
    case MergeKind::kSubtract:
      op.shift = constant;
      for (double& x : comes_first ? op.scale.data : op.shift.data) x = -x;
      break;
    case MergeKind::kMultiply:
      op.scale = std::move(constant);
      break;
    default:
      if (comes_first) return unsupported("A constant divided by a tensor is not computed.");
      for (std::size_t i = 0; i < constant.data.size(); ++i) op.scale.data[i] = 1.0 / constant.data[i];
      break;
  }
  return op;
}

template <MergeKind kind>
Result<LayerOp> bind_merge(const Call& call) {
  const Arguments arguments = call.arguments;
  if (arguments.size() != 2 || (arguments[0] != nullptr && arguments[1] != nullptr))
    return unsupported(
        fmt::format("It must be called with two tensors, or with one and a constant, got {} "
                    "arguments.",
                    arguments.size()));
  if (arguments[0] == nullptr && arguments[1] == nullptr) return MergeOp{kind, true};
  const bool comes_first = arguments[0] != nullptr;
  Result<Constant> constant = read_constant(*arguments[comes_first ? 0 : 1], "The constant");
  if (!constant) return tl::unexpected(constant.error());
  return bind_with_constant(kind, std::move(*constant), comes_first);
}

Result<LayerOp> bind_negative(const Call&) {
  return bind_with_constant(MergeKind::kMultiply, {{}, {-1.0}}, false);
}

// The functions of keras.activations, by the name that the operator's class has there.
Result<LayerOp> bind_function(const Call& call) {
  const std::string_view name = call.fields.class_name().substr(kPrefix.size());
  const std::string_view function = name == "exp" ? "exponential" : name;
  Value object;
  object.kind = Kind::kDict;
  Value text;
  text.kind = Kind::kString;
  text.text = function == "re_lu" ? "ReLU" : function;
  object.items.push_back({"class_name", std::move(text)});
  object.items.push_back({"config", call.fields.config()});
  Result<Activation> activation = bind_activation(call.fields.context(), object);
  if (!activation) return tl::unexpected(activation.error());
  return ActivationOp{*activation};
}

Result<LayerOp> bind_along_axis(const Call& call) {
  const Value* axis = call.fields.find("axis");
  if (axis != nullptr && axis->kind == Kind::kNone)
    return unsupported("`axis` None means a softmax over the whole batch, which is not computed.");
  const bool is_softmax = call.fields.class_name() == "keras.ops.softmax";
  return is_softmax ? bind_softmax(call.fields) : bind_function(call);
}

// Turn this: a shape with the batch axis, which must stay as it is. Into this: what Reshape takes.
Result<LayerOp> bind_reshape(const Call& call) {
  const Value* shape = call.fields.find("newshape");
  if (shape == nullptr) return make_error(ErrorCode::kInvalidData, "`newshape` is missing.");
  const auto fail = [&] {
    return unsupported(
        fmt::format("`newshape` {} must keep the batch axis: -1 first, then the sizes of a sample, as in "
                    "(-1, 3, 8). `keras.layers.Reshape` takes a shape without the batch axis.",
                    describe(*shape)));
  };
  if (!shape->is_sequence() || shape->items.size() < 2 || shape->items.size() > 8) return fail();
  const Value& batch = shape->items[0].value;
  const bool is_null = batch.kind == Kind::kNone;
  if (!is_null && (batch.kind != Kind::kInt || batch.integer != -1)) return fail();
  ReshapeOp op;
  for (std::size_t i = 1; i < shape->items.size(); ++i) {
    const Value& size = shape->items[i].value;
    const bool is_open = size.kind == Kind::kInt && size.integer == -1 && is_null &&
                         std::find(op.target.begin(), op.target.end(), -1) == op.target.end();
    const bool is_size = size.kind == Kind::kInt && size.integer >= 1 && size.integer <= kMaxAxis;
    if (!is_open && !is_size) return fail();
    op.target.push_back(size.integer);
  }
  return op;
}

Result<LayerOp> bind_transpose(const Call& call) {
  const Value* axes = call.fields.find("axes");
  PermuteOp op;
  if (axes != nullptr && axes->is_sequence()) {
    for (const Argument& item : axes->items) {
      const int64_t axis = item.value.integer;
      op.dims.push_back(axis < 0 ? axis + static_cast<int64_t>(axes->items.size()) : axis);
    }
  }
  std::vector<int64_t> sorted = op.dims;
  std::sort(sorted.begin(), sorted.end());
  bool fits = op.dims.size() > 1 && op.dims.size() <= 8 && op.dims[0] == 0;
  for (std::size_t i = 0; fits && i < sorted.size(); ++i) fits = sorted[i] == static_cast<int64_t>(i);
  if (!fits) {
    return unsupported(
        fmt::format("`axes` must be a permutation that keeps the batch axis, 0, in front, "
                    "got {}.",
                    axes == nullptr ? "None" : describe(*axes)));
  }
  op.dims.erase(op.dims.begin());
  return op;
}

Result<LayerOp> bind_reduce(const Call& call, bool average) {
  const Value* axis = call.fields.find("axis");
  if (axis == nullptr || axis->kind == Kind::kNone) {
    return unsupported("`axis` None means all axes with the batch among them, which is not computed.");
  }
  const Value* initial = call.fields.find("initial");
  if (initial != nullptr && initial->kind != Kind::kNone)
    return Fields::refuse("initial", *initial, "is not supported", ErrorCode::kUnsupported);
  Result<std::vector<int64_t>> axes = call.fields.axes("axis");
  if (!axes) return tl::unexpected(axes.error());
  Result<bool> keepdims = call.fields.flag("keepdims", false);
  if (!keepdims) return tl::unexpected(keepdims.error());
  return ReduceOp{average, std::move(*axes), *keepdims};
}

Result<LayerOp> bind_mean(const Call& call) {
  return bind_reduce(call, true);
}
Result<LayerOp> bind_max(const Call& call) {
  return bind_reduce(call, false);
}

// Operators that mean the same as a layer.
Result<LayerOp> bind_as(std::string_view class_name, const Call& call) {
  return bind_op(call.fields.context(), class_name, call.fields.config());
}
Result<LayerOp> bind_concatenate(const Call& call) {
  return bind_as("Concatenate", call);
}
Result<LayerOp> bind_max_pool(const Call& call) {
  return bind_as("MaxPooling1D", call);
}
Result<LayerOp> bind_average_pool(const Call& call) {
  return bind_as("AveragePooling1D", call);
}

Result<LayerOp> bind_cast(const Call& call) {
  const Value* dtype = call.fields.find("dtype");
  if (dtype != nullptr && dtype->kind == Kind::kString && dtype->text == "float32") return IdentityOp{};
  return unsupported("Only casts to float32 are supported, because everything is computed in float32.");
}

// Zeros before and behind one of the two axes of a sample.
Result<LayerOp> bind_pad(const Call& call) {
  const Value* width = call.fields.find("pad_width");
  const Value* mode = call.fields.find("mode");
  const auto fail = [&] {
    return unsupported(fmt::format(
        "Only zeros along one axis behind the batch axis are padded, as in "
        "((0, 0), (1, 2), (0, 0)); got `pad_width` {}, `mode` {}.",
        width != nullptr ? describe(*width) : "None", mode != nullptr ? describe(*mode) : "None"));
  };
  if (width == nullptr || !width->is_sequence() || width->items.size() != 3) return fail();
  if (mode != nullptr && (mode->kind != Kind::kString || mode->text != "constant")) return fail();
  std::pair<int64_t, int64_t> sides[3];
  for (std::size_t i = 0; i < 3; ++i) {
    const Value& pair = width->items[i].value;
    if (!pair.is_sequence() || pair.items.size() != 2) return fail();
    for (const Argument& item : pair.items) {
      if (item.value.kind != Kind::kInt || item.value.integer < 0 || item.value.integer > kMaxSize)
        return fail();
    }
    sides[i] = {pair.items[0].value.integer, pair.items[1].value.integer};
  }
  constexpr std::pair<int64_t, int64_t> kNone{0, 0};
  if (sides[0] != kNone || (sides[1] != kNone && sides[2] != kNone)) return fail();
  if (sides[2] == kNone) return ZeroPaddingOp{sides[1].first, sides[1].second, DataFormat::kChannelsLast};
  return ZeroPaddingOp{sides[2].first, sides[2].second, DataFormat::kChannelsFirst};
}

struct Entry {
  std::string_view name;  // behind the prefix
  Binder bind;
  bool takes_one = true;  // one tensor and no constant
};
constexpr Entry kOperators[] = {
    {"add", bind_merge<MergeKind::kAdd>, false},
    {"subtract", bind_merge<MergeKind::kSubtract>, false},
    {"multiply", bind_merge<MergeKind::kMultiply>, false},
    {"divide", bind_merge<MergeKind::kDivide>, false},
    {"true_divide", bind_merge<MergeKind::kDivide>, false},
    {"maximum", bind_merge<MergeKind::kMaximum>, false},
    {"minimum", bind_merge<MergeKind::kMinimum>, false},
    {"negative", bind_negative},
    {"copy", bind_identity},
    {"stop_gradient", bind_identity},
    {"cast", bind_cast},
    {"average", bind_mean},
    {"mean", bind_mean},
    {"max", bind_max},
    {"amax", bind_max},
    {"reshape", bind_reshape},
    {"transpose", bind_transpose},
    {"pad", bind_pad},
    {"concatenate", bind_concatenate},
    {"max_pool", bind_max_pool},
    {"average_pool", bind_average_pool},
    {"softmax", bind_along_axis},
    {"log_softmax", bind_along_axis},
    {"sparsemax", bind_along_axis},
    {"glu", bind_function},
    {"re_lu", bind_function},
    {"relu", bind_function},
    {"relu6", bind_function},
    {"leaky_relu", bind_function},
    {"elu", bind_function},
    {"selu", bind_function},
    {"celu", bind_function},
    {"gelu", bind_function},
    {"sigmoid", bind_function},
    {"log_sigmoid", bind_function},
    {"hard_sigmoid", bind_function},
    {"silu", bind_function},
    {"hard_silu", bind_function},
    {"mish", bind_function},
    {"tanh", bind_function},
    {"tanh_shrink", bind_function},
    {"hard_tanh", bind_function},
    {"softplus", bind_function},
    {"softsign", bind_function},
    {"exp", bind_function},
    {"squareplus", bind_function},
    {"sparse_plus", bind_function},
    {"sparse_sigmoid", bind_function},
    {"soft_shrink", bind_function},
    {"hard_shrink", bind_function},
    {"threshold", bind_function},
};

const Entry* find_entry(std::string_view name) {
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  const auto* found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                   [&](const Entry& entry) { return entry.name == name; });
  return found == std::end(kOperators) ? nullptr : found;
}

}  // namespace

bool is_operator_module(std::string_view module) {
  for (const std::string_view package : {"keras.src.ops", "keras.ops", "keras.src.activations"}) {
    if (module == package || (module.starts_with(package) && module[package.size()] == '.')) return true;
  }
  return false;
}

std::string operator_name(std::string_view class_name) {
  return fmt::format("{}{}", kPrefix, snake_case(class_name));
}

bool is_known_operator(std::string_view name) {
  return find_entry(name) != nullptr;
}

Result<LayerOp> bind_operator(const BindContext& context, std::string_view name, const Value& config,
                              std::span<const Value* const> arguments) {
  const Call call{Fields(context, name, config), arguments};
  const Entry& entry = *find_entry(name);
  if (entry.takes_one) {
    if (Result<void> done = check_single(call); !done) return tl::unexpected(done.error());
  }
  return entry.bind(call);
}

}  // namespace convsmith::models
