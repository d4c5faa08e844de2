#include "cli/describe_problem.hpp"

#include <fmt/format.h>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "ir/graph/graph.hpp"
#include "ir/nest/problem_text.hpp"

namespace convsmith::cli {
namespace {

// Whose values are computed where the generations of Keras differ. The notes say what differs here.
std::string generation_text(const LayerSpec& spec) {
  const bool keras3 = spec.dialect == Dialect::kKeras3;
  const std::string text = keras3 ? "Keras 3" : "Keras 2";
  return text + (spec.dialect == Dialect::kCall ? " (call text does not say; a JSON config would)" : "");
}

std::string padding_text(const Problem& problem) {
  if (problem.transposed) {
    if (problem.pad_left == 0 && problem.pad_right == 0) return "none";
    return problem.pad_right >= 0
               ? fmt::format("{} output steps cropped left, {} right", problem.pad_left, problem.pad_right)
               : fmt::format("{} output steps cropped left, {} added right", problem.pad_left,
                             -problem.pad_right);
  }
  if (problem.pad_same) return "same: zeros so that outputs = ceil(steps / stride); the odd one goes right";
  if (problem.pad_left == 0 && problem.pad_right == 0) return "none";
  return fmt::format("{} zero steps left, {} right", problem.pad_left, problem.pad_right);
}

std::string shifted(const std::string& text, int64_t shift) {
  return shift == 0 ? text : fmt::format("{} {:+}", text, shift);
}

std::string length_formula(const Problem& problem) {
  if (problem.transposed) {
    const std::string steps = problem.stride == 1 ? "steps" : fmt::format("{} * steps", problem.stride);
    return shifted(steps, problem.span() - problem.stride - problem.pad_left - problem.pad_right);
  }
  if (problem.pad_same)
    return problem.stride == 1 ? "steps" : fmt::format("ceil(steps / {})", problem.stride);
  const int64_t shift = problem.pad_left + problem.pad_right - problem.span();
  if (problem.stride == 1) return shifted("steps", shift + 1);
  return fmt::format("floor((steps {:+}) / {}) + 1", shift, problem.stride);
}

// What one output step is made of.
std::string kernel_text(const Problem& problem) {
  if (problem.taps == ir::kAllSteps) return "all steps";
  if (problem.transposed) {
    return fmt::format("{} taps, stride {}, dilation {}: one input step reaches {} output steps",
                       problem.taps, problem.stride, problem.dilation, problem.span());
  }
  return fmt::format("{} taps, stride {}, dilation {}: one output looks at {} steps", problem.taps,
                     problem.stride, problem.dilation, problem.span());
}

std::string parameters_text(const Problem& problem, int64_t parameters) {
  const int64_t a = problem.transposed ? problem.filters : problem.group_channels();
  const int64_t b = problem.transposed ? problem.channels : problem.filters;
  std::string text = std::to_string(parameters);
  if (problem.has_weights()) text += fmt::format(": kernel ({}, {}, {})", problem.taps, a, b);
  if (problem.has_bias)
    text += fmt::format("{} bias ({})", problem.has_weights() ? "," : ":", problem.filters);
  return text;
}

std::string activation_word(const Activation& activation) {
  return activation.kind == ActivationKind::kLinear ? "linear" : activation_text(activation, Dialect::kCall);
}

}  // namespace

Facts describe_spec(const ParsedLayer& layer) {
  const std::string call = to_call_text(layer.spec);
  const std::string generation = generation_text(layer.spec);
  Facts facts;
  facts.text = fmt::format("{}\n# values of {}\n", call, generation);
  for (const std::string& note : layer.notes) facts.text += fmt::format("# note: {}\n", note);
  facts.json = {{"call", call}, {"values_of", generation}, {"notes", layer.notes}};
  return facts;
}

Facts describe_problem(const Problem& problem) {
  const int64_t macs =
      problem.has_weights() ? problem.taps * problem.group_channels() * problem.filters : int64_t{0};
  const int64_t parameters = macs + (problem.has_bias ? problem.filters : 0);
  const bool last = problem.layout == Layout::kChannelsLast;
  const std::string reduce(ir::reduce_name(problem.reduce));
  Facts facts;
  facts.json = {{"layout", last ? "channels_last" : "channels_first"},
                {"channels", problem.channels},
                {"filters", problem.filters},
                {"taps", problem.taps},
                {"stride", problem.stride},
                {"dilation", problem.dilation},
                {"groups", problem.groups},
                {"transposed", problem.transposed},
                {"bias", problem.has_bias},
                {"activation", activation_word(problem.activation)},
                {"span", problem.span()},
                {"padding", padding_text(problem)},
                {"output_steps", length_formula(problem)},
                {"macs_per_output_step", macs},
                {"parameters", parameters}};
  const auto row = [&](std::string_view name, const std::string& value) {
    facts.text += fmt::format("{:<13} {}\n", name, value);
  };
  row("input", last ? fmt::format("(batch, steps, {})", problem.channels)
                    : fmt::format("(batch, {}, steps)", problem.channels));
  row("output", last ? fmt::format("(batch, outputs, {})", problem.filters)
                     : fmt::format("(batch, {}, outputs)", problem.filters));
  row("outputs", length_formula(problem));
  if (!problem.has_weights()) row("takes", reduce);
  row("kernel", kernel_text(problem));
  row("padding", padding_text(problem));
  if (!problem.has_weights() || problem.is_channelwise()) {
    row("groups", "every channel on its own");
  } else {
    row("groups", fmt::format("{}, each of {} channels and {} filters", problem.groups,
                              problem.group_channels(), problem.group_filters()));
  }
  row("activation", activation_word(problem.activation));
  if (problem.combine != Combine::kNone) {
    facts.json["combine"] = ir::combine_name(problem.combine);
    facts.json["after"] = activation_word(problem.after);
    row("combine", fmt::format("{} with a second tensor, then {}", ir::combine_name(problem.combine),
                               activation_word(problem.after)));
  }
  row("multiply-adds", fmt::format("{} an {} step", macs, problem.transposed ? "input" : "output"));
  row("parameters", parameters_text(problem, parameters));
  return facts;
}

Facts describe_problem(const LayerProblem& layer) {
  if (layer.chain.size() == 1 && !layer.row) return describe_problem(layer.chain[0]);
  Facts facts;
  for (size_t i = 0; i < layer.chain.size(); ++i) {
    const Facts part = describe_problem(layer.chain[i]);
    if (layer.chain.size() > 1)
      facts.text += i == 0 ? "first, for each channel:\n" : "then, across channels:\n";
    facts.text += part.text;
    facts.json["chain"].push_back(part.json);
  }
  if (!layer.row) return facts;
  const bool last = layer.chain.front().layout == Layout::kChannelsLast;
  const char* const axis = last ? "over the filters of a step" : "over the steps of a filter";
  facts.text += fmt::format("{:<13} {}, {}\n", "then", activation_word(*layer.row), axis);
  facts.json["then"] = {{"activation", activation_word(*layer.row)}, {"axis", axis}};
  return facts;
}

}  // namespace convsmith::cli
