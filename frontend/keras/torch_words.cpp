#include "frontend/keras/torch_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "frontend/keras/keras1_names.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;
using Words = std::pair<std::string_view, std::string_view>;

constexpr Words kLayers[] = {
    {"Conv1d", "Conv1D"},
    {"LazyConv1d", "Conv1D"},
    {"ConvTranspose1d", "Conv1DTranspose"},
    {"Linear", "Dense"},
    {"LazyLinear", "Dense"},
    {"ReLU6", "Activation('relu6')"},
    {"SiLU", "Activation('silu')"},
    {"GELU", "Activation('gelu')"},
    {"Sigmoid", "Activation('sigmoid')"},
    {"Tanh", "Activation('tanh')"},
    {"Hardswish", "Activation('hard_silu')"},
    {"BatchNorm1d", "BatchNormalization"},
    {"MaxPool1d", "MaxPooling1D"},
    {"AvgPool1d", "AveragePooling1D"},
    {"AdaptiveAvgPool1d", "GlobalAveragePooling1D"},
    {"AdaptiveMaxPool1d", "GlobalMaxPooling1D"},
    {"ConstantPad1d", "ZeroPadding1D"},
    {"ZeroPad1d", "ZeroPadding1D"},
    {"Upsample", "UpSampling1D"},
};

constexpr Words kArguments[] = {
    {"out_channels", "filters"},   {"out_features", "units"}, {"stride", "strides"},
    {"dilation", "dilation_rate"}, {"bias", "use_bias"},      {"kernel", "kernel_size"},
};

// Arguments of Conv1d and ConvTranspose1d behind the kernel's size, in PyTorch's order.
constexpr std::string_view kConv[] = {"in_channels", "out_channels", "kernel_size", "stride",
                                      "padding",     "dilation",     "groups",      "bias"};
constexpr std::string_view kConvTranspose[] = {"in_channels", "out_channels", "kernel_size",
                                               "stride",      "padding",      "output_padding",
                                               "groups",      "bias",         "dilation"};
constexpr std::string_view kLinear[] = {"in_features", "out_features", "bias"};

template <std::size_t N>
std::string_view find_word(const Words (&table)[N], std::string_view word) {
  const auto* const found =
      std::find_if(std::begin(table), std::end(table), [&](const Words& row) { return row.first == word; });
  return found == std::end(table) ? std::string_view() : found->second;
}

class Translator {
 public:
  Translator(std::span<const std::string_view> order, const std::vector<Argument>& arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const std::string_view name = !arguments[i].name.empty() ? std::string_view(arguments[i].name)
                                    : i < order.size()         ? order[i]
                                                               : std::string_view();
      given_.emplace_back(name, &arguments[i].value);
    }
  }

  // Empty where sizes are not all given as numbers, or an argument has no counterpart.
  std::string conv(std::string_view keras_class) const {
    const Value* in = find("in_channels");
    const Value* out = find("out_channels");
    const Value* kernel = find("kernel_size");
    if (in == nullptr || out == nullptr || kernel == nullptr) return {};
    if (!unwritten().empty()) return {};
    std::string text = fmt::format("{}({}, {}", keras_class, describe(*out), describe(*kernel));
    if (const Value* padding = find("padding"); padding != nullptr && !is_number(*padding, 0)) {
      const Value& sides =
          padding->is_sequence() && padding->items.size() == 1 ? padding->items[0].value : *padding;
      text += fmt::format(", padding={}", sides.kind == Kind::kInt
                                              ? fmt::format("({}, {})", sides.integer, sides.integer)
                                              : describe(*padding));
    }
    for (const auto& [name, value] : given_) {
      const bool is_same = name == "groups" || (name == "output_padding" && !is_number(*value, 0));
      const std::string_view keras = is_same ? name : find_word(kArguments, name);
      const bool is_default = name != "output_padding" && is_number(*value, 1);
      if (keras.empty() || keras == "filters" || is_default) continue;
      text += fmt::format(", {}={}", keras, describe(*value));
    }
    return text + fmt::format(", data_format='channels_first', input_shape=({}, None))", describe(*in));
  }

  // Of an argument that no layer here has.
  std::string unwritten() const {
    const Value* mode = find("padding_mode");
    if (mode == nullptr || mode->text == "zeros") return {};
    return fmt::format(" `padding_mode={}` has no counterpart: pad the input before the layer.",
                       describe(*mode));
  }

  std::string linear() const {
    const Value* in = find("in_features");
    const Value* out = find("out_features");
    if (in == nullptr || out == nullptr) return {};
    const Value* bias = find("bias");
    return fmt::format("Dense({}, {}input_shape=({},))", describe(*out),
                       bias != nullptr ? fmt::format("use_bias={}, ", describe(*bias)) : "", describe(*in));
  }

  bool needs_any_rules() const {
    const Value* padding = find("padding");
    return padding != nullptr && padding->kind != Kind::kString && !is_number(*padding, 0);
  }

 private:
  static bool is_number(const Value& value, int64_t number) {
    return value.kind == Kind::kInt && value.integer == number;
  }
  const Value* find(std::string_view name) const {
    for (const auto& [given, value] : given_)
      if (given == name) return value;
    return nullptr;
  }

  std::vector<std::pair<std::string_view, const Value*>> given_;
};

}  // namespace

std::string torch_layer_hint(std::string_view class_name, const std::vector<Argument>& arguments) {
  const std::string_view keras = find_word(kLayers, class_name);
  if (class_name.ends_with("2d") || class_name.ends_with("3d")) {
    return fmt::format("PyTorch's {} works on {} axes beside the channels; layers here on one.", class_name,
                       class_name[class_name.size() - 2]);
  }
  if (keras.empty()) return {};
  std::string text;
  std::string unwritten;
  bool any_rules = false;
  if (keras == "Conv1D" || keras == "Conv1DTranspose") {
    const Translator translator(keras == "Conv1D" ? std::span<const std::string_view>(kConv) : kConvTranspose,
                                arguments);
    text = translator.conv(keras);
    any_rules = translator.needs_any_rules();
    unwritten = translator.unwritten();
  } else if (keras == "Dense") {
    text = Translator(kLinear, arguments).linear();
  }
  if (text.empty()) return fmt::format("PyTorch's {} is called {} here.{}", class_name, keras, unwritten);
  return fmt::format("PyTorch's {} is called {} here, and its layer is written {}{}.", class_name, keras,
                     text, any_rules ? " with --rules any" : "");
}

std::string torch_argument_hint(std::string_view name, std::span<const std::string_view> known) {
  if (name == "in_channels" || name == "in_features")
    return fmt::format(
        "`{}` of PyTorch is the size of the input's last axis here, as in input_shape=(None, 128).", name);
  if (name == "padding_mode") return "Padding is with zeros; for another one pad the input before the layer.";
  const std::string_view torch = find_word(kArguments, name);
  const std::string_view keras = torch.empty() ? modern_name(name) : torch;
  const bool is_known = std::find(known.begin(), known.end(), keras) != known.end();
  return is_known ? fmt::format("`{}` is called `{}` here.", name, keras) : "";
}

}  // namespace convsmith
