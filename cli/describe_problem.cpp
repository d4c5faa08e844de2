#include "cli/describe_problem.hpp"

#include <fmt/format.h>

#include "frontend/activations.hpp"

namespace convsmith::cli {
namespace {

// Whose values are computed where the generations of Keras differ. The notes say what differs here.
std::string generation_text(const LayerSpec& spec) {
  const bool keras3 = spec.dialect == Dialect::kKeras3;
  const std::string text = keras3 ? "Keras 3" : "Keras 2";
  return text + (spec.dialect == Dialect::kCall ? " (call text does not say; a JSON config would)" : "");
}

std::string padding_text(const Problem& problem) {
  if (problem.pad_same) return "same: zeros so that outputs = ceil(steps / stride); the odd one goes right";
  if (problem.pad_left == 0 && problem.pad_right == 0) return "none";
  return fmt::format("{} zero steps left, {} right", problem.pad_left, problem.pad_right);
}

std::string length_formula(const Problem& problem) {
  if (problem.pad_same)
    return problem.stride == 1 ? "steps" : fmt::format("ceil(steps / {})", problem.stride);
  const int64_t shift = problem.pad_left + problem.pad_right - problem.span();
  if (problem.stride == 1) return shift == -1 ? "steps" : fmt::format("steps {:+}", shift + 1);
  return fmt::format("floor((steps {:+}) / {}) + 1", shift, problem.stride);
}

}  // namespace

Facts describe_spec(const ParsedLayer& layer) {
  const std::string call = to_call_text(layer.spec);
  const std::string generation = generation_text(layer.spec);
  Facts facts;
  facts.text = fmt::format("{}\nvalues of {}\n", call, generation);
  for (const std::string& note : layer.notes) facts.text += fmt::format("note: {}\n", note);
  facts.json = {{"call", call}, {"values_of", generation}, {"notes", layer.notes}};
  return facts;
}

Facts describe_problem(const Problem& problem) {
  const int64_t macs = problem.taps * problem.group_channels() * problem.filters;
  const int64_t parameters = macs + (problem.has_bias ? problem.filters : 0);
  const bool linear = problem.activation.kind == ActivationKind::kLinear;
  const std::string activation = linear ? "linear" : activation_text(problem.activation, Dialect::kCall);
  const char* const layout = problem.layout == Layout::kChannelsLast ? "channels_last" : "channels_first";
  Facts facts;
  facts.json = {{"layout", layout},
                {"channels", problem.channels},
                {"filters", problem.filters},
                {"taps", problem.taps},
                {"stride", problem.stride},
                {"dilation", problem.dilation},
                {"groups", problem.groups},
                {"bias", problem.has_bias},
                {"activation", activation},
                {"span", problem.span()},
                {"padding", padding_text(problem)},
                {"output_steps", length_formula(problem)},
                {"macs_per_output_step", macs},
                {"parameters", parameters}};
  const auto row = [&](std::string_view name, const std::string& value) {
    facts.text += fmt::format("{:<13} {}\n", name, value);
  };
  row("input", problem.layout == Layout::kChannelsLast ? fmt::format("(batch, steps, {})", problem.channels)
                                                       : fmt::format("(batch, {}, steps)", problem.channels));
  row("output", problem.layout == Layout::kChannelsLast
                    ? fmt::format("(batch, outputs, {})", problem.filters)
                    : fmt::format("(batch, {}, outputs)", problem.filters));
  row("outputs", length_formula(problem));
  row("kernel", fmt::format("{} taps, stride {}, dilation {}: one output looks at {} steps", problem.taps,
                            problem.stride, problem.dilation, problem.span()));
  row("padding", padding_text(problem));
  row("groups", fmt::format("{}, each of {} channels and {} filters", problem.groups,
                            problem.group_channels(), problem.group_filters()));
  row("activation", activation);
  row("multiply-adds", fmt::format("{} an output step", macs));
  row("parameters",
      fmt::format("{}: kernel ({}, {}, {}){}", parameters, problem.taps, problem.group_channels(),
                  problem.filters, problem.has_bias ? fmt::format(", bias ({})", problem.filters) : ""));
  return facts;
}

}  // namespace convsmith::cli
