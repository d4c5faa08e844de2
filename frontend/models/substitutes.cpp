#include "frontend/models/substitutes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "frontend/keras/layer_class.hpp"
#include "frontend/models/model_form.hpp"

namespace convsmith::models {
namespace {

using Kind = Value::Kind;

constexpr std::string_view kMixes = "mixes the samples of a batch, which is not computed.";

// One call of a function: its arguments by name, of the first one only what it is.
struct Call {
  const Value* arguments = nullptr;
  const Value* config = nullptr;
  bool constant_first = false;

  const Value* find(std::string_view name) const {
    const Value* found = arguments != nullptr ? arguments->find(name) : nullptr;
    return found != nullptr ? found : config->find(name);
  }
  const Value* constant() const {
    const Value* y = find("y");
    const bool is_tensor = y == nullptr || y->kind == Kind::kNone ||
                           (y->is_sequence() && !y->items.empty() && y->items[0].value.kind == Kind::kString);
    return is_tensor ? nullptr : y;
  }
  bool has_constant() const { return constant_first || constant() != nullptr; }
  // Of `axis`, whether one or several.
  std::vector<int64_t> axes() const {
    const Value* axis = find("axis");
    if (axis == nullptr) return {};
    if (axis->kind == Kind::kInt) return {axis->integer};
    std::vector<int64_t> out;
    for (const Argument& item : axis->items) out.push_back(item.value.integer);
    return out;
  }
  bool is_along(int64_t axis) const { return axes() == std::vector{axis}; }
  bool has_batch_axis() const {
    const std::vector<int64_t> all = axes();
    return std::find(all.begin(), all.end(), 0) != all.end();
  }
};

double number_of(const Value* value, double otherwise) {
  return value == nullptr                                          ? otherwise
         : value->kind == Kind::kFloat                             ? value->number
         : value->kind == Kind::kInt || value->kind == Kind::kBool ? static_cast<double>(value->integer)
                                                                   : otherwise;
}

bool is_text(const Value* value, std::string_view text) {
  return text_of(value) == text;
}

// What follows "In the place of .. use ", kMixes, or nothing.
using Rule = std::string (*)(const Call&);

// TensorFlow lines axes up from the right, and Keras's layers behind the batch axis.
std::string tensors(const char* layer) {
  return fmt::format(
      "the layer {} where both have equally many axes; otherwise Reshape the smaller one first", layer);
}

std::string add(const Call& call) {
  return call.has_constant() ? "the layer Rescaling(1, offset), with the constant as offset" : tensors("Add");
}
std::string subtract(const Call& call) {
  if (call.constant_first) return "the layer Rescaling(-1, offset), with the constant as offset";
  return call.has_constant() ? "the layer Rescaling(1, -constant)" : tensors("Subtract");
}
std::string multiply(const Call& call) {
  return call.has_constant() ? "the layer Rescaling(constant)" : tensors("Multiply");
}
std::string divide(const Call& call) {
  if (call.constant_first) return "";
  return call.has_constant() ? "the layer Rescaling(1 / constant)" : "keras.ops.divide of Keras 3";
}
std::string maximum(const Call& call) {
  if (!call.has_constant()) return tensors("Maximum");
  if (number_of(call.constant(), 1) == 0) return "the layer ReLU";
  return "the layers Rescaling(1, -constant), ReLU() and Rescaling(1, constant)";
}
std::string minimum(const Call& call) {
  if (!call.has_constant()) return tensors("Minimum");
  return "the layers Rescaling(-1, constant), ReLU() and Rescaling(-1, constant)";
}
std::string clip(const Call& call) {
  const Value* low = call.find("clip_value_min");
  return low != nullptr && number_of(low, 1) == 0
             ? "the layer ReLU(max_value)"
             : "the layers Rescaling(1, -low), ReLU(high - low) and Rescaling(1, low)";
}

std::string reduce(const Call& call, const std::string& pooling, const char* then) {
  const std::vector<int64_t> axes = call.axes();
  const bool keeps = number_of(call.find("keepdims"), 0) != 0;
  constexpr std::string_view kForm = "where the input is (batch, steps, channels)";
  if (axes.empty() || call.has_batch_axis()) return std::string(kMixes);
  if (call.is_along(1) || call.is_along(-2))
    return fmt::format("the layer {}{}{} {}", pooling, keeps ? "(keepdims=True)" : "", then, kForm);
  if (call.is_along(2) || call.is_along(-1))
    return fmt::format("the layers Permute((2, 1)) and {}{}{} {}", pooling, then,
                       keeps ? " and Reshape((-1, 1))" : "", kForm);
  return fmt::format("the layers Reshape((-1, 1)) and {}{} for all axes but the batch", pooling, then);
}
std::string mean(const Call& call) {
  return reduce(call, "GlobalAveragePooling1D", "");
}
std::string max(const Call& call) {
  return reduce(call, "GlobalMaxPooling1D", "");
}
std::string sum(const Call& call) {
  return reduce(call, "GlobalAveragePooling1D", " and Rescaling(number of summands)");
}

std::string reshape(const Call& call) {
  return call.has_batch_axis() ? std::string(kMixes) : "the layer Reshape, whose shape has no batch axis";
}
std::string transpose(const Call& call) {
  const Value* order = call.find("perm");
  const bool keeps =
      order != nullptr && order->is_sequence() && !order->items.empty() && order->items[0].value.integer == 0;
  return keeps ? "the layer Permute" : std::string(kMixes);
}
std::string concat(const Call& call) {
  return call.has_batch_axis() ? std::string(kMixes) : "the layer Concatenate";
}

bool is_whole(const Value& slice) {
  return is_text(slice.find("class_name"), "__ellipsis__") ||
         (slice.kind == Kind::kDict &&
          std::all_of(slice.items.begin(), slice.items.end(),
                      [](const Argument& end) { return end.value.kind == Kind::kNone; }));
}
std::string getitem(const Call& call) {
  const Value* slices = call.find("slice_spec");
  if (slices != nullptr &&
      !(slices->is_sequence() && !slices->items.empty() && is_whole(slices->items[0].value)))
    return std::string(kMixes);
  return "the layers Cropping1D for steps at the ends, with Flatten for a single one, MaxPooling1D(1, "
         "strides=n) for every nth step, and Permute((2, 1)) before and behind for channels";
}

std::string pad(const Call& call) {
  const Value* mode = call.find("mode");
  const bool zeros = (mode == nullptr || is_text(mode, "CONSTANT") || is_text(mode, "constant")) &&
                     number_of(call.find("constant_values"), 0) == 0;
  return zeros ? "the layer ZeroPadding1D for steps" : "";
}
std::string repeat(const Call& call) {
  return call.is_along(1) || call.is_along(-2) ? "the layer UpSampling1D" : "";
}
std::string power(const Call& call) {
  return number_of(call.constant(), 0) == 2 ? "the layer Multiply, called with the tensor twice" : "";
}
std::string cast(const Call& call) {
  return is_text(call.find("dtype"), "float32") ? "nothing: everything is float32" : "";
}
std::string softmax(const Call& call) {
  return call.has_batch_axis() ? std::string(kMixes) : "the layer Softmax(axis)";
}

std::string gelu(const Call& call) {
  return number_of(call.find("approximate"), 0) != 0 ? "" : "the layer Activation('gelu')";
}

struct Row {
  std::string_view function;
  Rule rule = nullptr;
  std::string_view text = {};  // where there is no rule
};
constexpr Row kRows[] = {
    {"add", add},
    {"addv2", add},
    {"addn", nullptr, "the layer Add"},
    {"subtract", subtract},
    {"sub", subtract},
    {"multiply", multiply},
    {"mul", multiply},
    {"truediv", divide},
    {"divide", divide},
    {"realdiv", divide},
    {"maximum", maximum},
    {"minimum", minimum},
    {"clipbyvalue", clip},
    {"clip", clip},
    {"negative", nullptr, "the layer Rescaling(-1)"},
    {"neg", nullptr, "the layer Rescaling(-1)"},
    {"abs", nullptr, "the layers Rescaling(-1) and Maximum"},
    {"absolute", nullptr, "the layers Rescaling(-1) and Maximum"},
    {"square", nullptr, "the layer Multiply, called with the tensor twice"},
    {"pow", power},
    {"power", power},
    {"mean", mean},
    {"reducemean", mean},
    {"max", max},
    {"reducemax", max},
    {"sum", sum},
    {"reducesum", sum},
    {"expanddims", reshape},
    {"squeeze", reshape},
    {"reshape", reshape},
    {"transpose", transpose},
    {"concat", concat},
    {"concatenate", concat},
    {"getitem", getitem},
    {"stridedslice", getitem},
    {"pad", pad},
    {"repeat", repeat},
    {"cast", cast},
    {"identity", nullptr, "nothing: it gives back what it gets"},
    {"stopgradient", nullptr, "nothing: it gives back what it gets"},
    {"softmax", softmax},
    {"relu", nullptr, "the layer ReLU"},
    {"relu6", nullptr, "the layer ReLU(6)"},
    {"leakyrelu", nullptr, "the layer LeakyReLU, with the same `alpha` (0.2 where none is given)"},
    {"elu", nullptr, "the layer Activation('elu')"},
    {"selu", nullptr, "the layer Activation('selu')"},
    {"gelu", gelu},
    {"sigmoid", nullptr, "the layer Activation('sigmoid')"},
    {"tanh", nullptr, "the layer Activation('tanh')"},
    {"softplus", nullptr, "the layer Activation('softplus')"},
    {"softsign", nullptr, "the layer Activation('softsign')"},
    {"silu", nullptr, "the layer Activation('swish')"},
    {"swish", nullptr, "the layer Activation('swish')"},
    {"exp", nullptr, "the layer Activation('exponential')"},
    {"conv1d", nullptr, "the layer Conv1D, with the filters as its weights"},
};

// "__operators__.add", "math.reduce_mean", "keras.ops.ExpandDims" -> "add", "reducemean", "expanddims"
std::string plain_function(std::string_view name) {
  std::string out;
  for (const char c : last_component(name)) {
    if (c >= 'A' && c <= 'Z') out.push_back(static_cast<char>(c - 'A' + 'a'));
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) out.push_back(c);
  }
  return out;
}

// ["x", 0, 0, {..}], a list of such, or what Keras 3 writes, whose arguments are in the config.
Call read_call(const Value& node, const Value& config) {
  const Value* first = &node;
  while (first->is_sequence() && !first->items.empty() && first->items[0].value.is_sequence())
    first = &first->items[0].value;
  Call call{.config = &config};
  if (!first->is_sequence() || first->items.size() < 4) return call;
  call.arguments = &first->items[3].value;
  call.constant_first = is_text(&first->items[0].value, "_CONSTANT_VALUE");
  return call;
}

}  // namespace

std::string_view function_of(const LayerEntry& layer) {
  if (layer.class_name == "TFOpLambda") return text_of(layer.config->find("function"));
  if (layer.class_name == "SlicingOpLambda") return "getitem";
  if (layer.class_name.find(".ops.") != std::string::npos) return layer.class_name;
  return {};
}

std::set<std::string> substitutes_for(const LayerEntry& layer) {
  const std::string_view function = function_of(layer);
  const std::string plain = plain_function(function);
  const auto* const row = std::find_if(std::begin(kRows), std::end(kRows),
                                       [&](const Row& known) { return known.function == plain; });
  std::set<std::string> out;
  if (row == std::end(kRows) || layer.nodes == nullptr) return out;
  for (const Argument& node : layer.nodes->items) {
    const Call call = read_call(node.value, *layer.config);
    const std::string text = row->rule != nullptr ? row->rule(call) : std::string(row->text);
    if (text == kMixes) {
      out.insert(fmt::format("{} as it is called here {}", function, text));
    } else if (!text.empty()) {
      out.insert(fmt::format("In the place of {} use {}.", function, text));
    }
  }
  return out;
}

}  // namespace convsmith::models
