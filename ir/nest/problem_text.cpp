#include "ir/nest/problem_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "convsmith/activation.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith::ir {

namespace {

using Kind = Value::Kind;

constexpr std::string_view kWith = " with ";
constexpr std::array<std::string_view, 4> kReduceNames = {"multiply_add", "max", "mean", "copy"};
constexpr std::array<std::string_view, 9> kCombineNames = {
    "none", "add", "subtract", "subtract_from", "multiply", "divide", "maximum", "minimum", "prelu"};

Dialect dialect_of(const Activation& activation) {
  // Two generations, two formulas, one name.
  return activation.kind == ActivationKind::kHardSigmoidKeras3 ? Dialect::kKeras3 : Dialect::kCall;
}

bool pads_by_text(const Problem& p) {
  return p.pad_same || (p.pad_left >= 0 && p.pad_right >= 0 && !p.transposed);
}

std::string layer_text(const Problem& p) {
  LayerSpec spec;
  spec.filters = p.filters;
  spec.kernel_size = p.taps;
  spec.strides = p.stride;
  spec.dilation_rate = p.dilation;
  spec.groups = p.groups;
  spec.data_format =
      p.layout == Layout::kChannelsLast ? DataFormat::kChannelsLast : DataFormat::kChannelsFirst;
  spec.use_bias = p.has_bias;
  spec.activation = p.activation;
  if (p.pad_same) spec.padding = Padding::kSame;
  if (!p.pad_same && pads_by_text(p) && (p.pad_left != 0 || p.pad_right != 0)) {
    spec.padding = Padding::kExplicit;
    spec.pad_left = p.pad_left;
    spec.pad_right = p.pad_right;
  }
  spec.input_shape = {std::nullopt, p.channels};
  if (p.layout == Layout::kChannelsFirst) std::swap(spec.input_shape[0], spec.input_shape[1]);
  spec.dialect = dialect_of(p.activation);
  return to_call_text(spec);
}

std::string pass_text(const Problem& p) {
  std::string text;
  const auto put = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, value);
  };
  if (p.transposed) put("transposed", "True");
  if (!pads_by_text(p)) put("pad", fmt::format("({}, {})", p.pad_left, p.pad_right));
  if (p.reduce != Reduce::kMultiplyAdd) put("reduce", fmt::format("'{}'", reduce_name(p.reduce)));
  if (p.starts_from_bias) put("starts_from_bias", "True");
  if (p.combine != Combine::kNone) put("combine", fmt::format("'{}'", combine_name(p.combine)));
  if (!p.operand_has_steps) put("operand_has_steps", "False");
  if (!p.operand_has_channels) put("operand_has_channels", "False");
  if (p.after.kind != ActivationKind::kLinear) put("after", activation_text(p.after, dialect_of(p.after)));
  if (p.in_row != 0 || p.out_row != 0 || p.operand_row != 0)
    put("rows", fmt::format("({}, {}, {})", p.in_row, p.out_row, p.operand_row));
  if (p.one_step) put("one_step", "True");
  return text;
}

// Reads one keyword of Pass(...); a sentence without a full stop if it is wrong.
std::optional<std::string> read_keyword(const Argument& argument, Problem& p) {
  const Value& value = argument.value;
  const auto flag = [&](bool& out) -> std::optional<std::string> {
    if (value.kind != Kind::kBool) return fmt::format("`{}` must be True or False", argument.name);
    out = value.integer != 0;
    return std::nullopt;
  };
  const auto named = [&](const auto& names, auto& out) -> std::optional<std::string> {
    const auto* found = std::find(names.begin(), names.end(), value.text);
    if (value.kind != Kind::kString || found == names.end())
      return fmt::format("`{}` must be one of '{}'", argument.name, fmt::join(names, "', '"));
    out = static_cast<std::decay_t<decltype(out)>>(found - names.begin());
    return std::nullopt;
  };
  const auto integers = [&](std::initializer_list<int64_t*> out) -> std::optional<std::string> {
    const bool fits = value.is_sequence() && value.items.size() == out.size() &&
                      std::all_of(value.items.begin(), value.items.end(), [](const Argument& item) {
                        return item.value.kind == Kind::kInt && std::abs(item.value.integer) < (1 << 30);
                      });
    if (!fits) return fmt::format("`{}` must be a tuple of {} integers", argument.name, out.size());
    auto item = value.items.begin();
    for (int64_t* to : out) *to = (item++)->value.integer;
    return std::nullopt;
  };
  if (argument.name == "transposed") return flag(p.transposed);
  if (argument.name == "one_step") return flag(p.one_step);
  if (argument.name == "starts_from_bias") return flag(p.starts_from_bias);
  if (argument.name == "operand_has_steps") return flag(p.operand_has_steps);
  if (argument.name == "operand_has_channels") return flag(p.operand_has_channels);
  if (argument.name == "reduce") return named(kReduceNames, p.reduce);
  if (argument.name == "combine") return named(kCombineNames, p.combine);
  if (argument.name == "pad") return integers({&p.pad_left, &p.pad_right});
  if (argument.name == "rows") return integers({&p.in_row, &p.out_row, &p.operand_row});
  if (argument.name != "after") return fmt::format("Pass has no argument `{}`", argument.name);
  std::vector<std::string> notes;
  const BindContext context{.rules = Rules::kAny, .notes = &notes};
  Result<Activation> after = bind_activation(context, value);
  if (!after) return after.error().message;
  p.after = *after;
  return std::nullopt;
}

// What code generation takes for granted.
std::optional<std::string> check_pass(const Problem& p) {
  if (!p.has_weights() && (!p.is_channelwise() || p.has_bias || p.starts_from_bias))
    return "a reduction without weights needs groups = channels = filters and no bias";
  if (p.reduce == Reduce::kCopy && p.taps != 1) return "a copy has one tap";
  if (p.starts_from_bias && !p.has_bias) return "`starts_from_bias` needs a bias";
  const auto row_fits = [](int64_t row, int64_t size) { return row == 0 || row >= size; };
  if (!row_fits(p.in_row, p.channels) || !row_fits(p.out_row, p.filters) ||
      !row_fits(p.operand_row, p.operand_has_channels ? p.filters : 1))
    return "`rows` must be 0 or at least the number of channels or filters";
  return std::nullopt;
}

}  // namespace

std::string_view reduce_name(Reduce reduce) {
  return kReduceNames[static_cast<size_t>(reduce)];
}

std::string_view combine_name(Combine combine) {
  return kCombineNames[static_cast<size_t>(combine)];
}

std::string problem_text(const Problem& problem) {
  const std::string pass = pass_text(problem);
  return pass.empty() ? layer_text(problem) : fmt::format("{}{}Pass({})", layer_text(problem), kWith, pass);
}

Result<Problem> parse_problem(std::string_view text) {
  const size_t with = text.rfind(" with Pass(");
  auto layer = parse_layer(text.substr(0, with), Rules::kAny);
  if (!layer) return tl::unexpected(layer.error());
  auto problem = make_problem(layer->spec, Rules::kAny);
  if (!problem || with == std::string_view::npos) return problem;
  auto pass = parse_statement(text.substr(with + kWith.size()));
  if (!pass) return tl::unexpected(pass.error());
  for (const Argument& argument : pass->value.items) {
    if (const auto wrong = read_keyword(argument, *problem))
      return make_error(ErrorCode::kInvalidSpec, *wrong + ".");
  }
  if (const auto wrong = check_pass(*problem))
    return make_error(ErrorCode::kInvalidSpec, fmt::format("Pass: {}.", *wrong));
  return problem;
}

}  // namespace convsmith::ir
