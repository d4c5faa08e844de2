#include "cli/run_report.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cli/io/plot.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

double steps_per_second(const Outcome& outcome) {
  const LayerInput& input = outcome.runnable.inputs[0];
  return static_cast<double>(input.batch) * static_cast<double>(input.steps) / outcome.run_us * 1e6;
}

std::string speed_text(const Outcome& outcome) {
  const double speed = steps_per_second(outcome);
  const std::string text = speed < 1e6 ? fmt::format("{:.0f} steps a second", speed)
                                       : fmt::format("{:.1f} million steps a second", speed / 1e6);
  if (outcome.rate <= 0) return text;
  return fmt::format("{}: {:.{}f} times real time at {:g} Hz", text, speed / outcome.rate,
                     speed / outcome.rate < 10 ? 2 : 0, outcome.rate);
}

std::string back_end_text(const Outcome& outcome) {
  const Runnable& r = outcome.runnable;
  std::string text = fmt::format("{}, {}, {} thread{}", backend_name(r.backend), isa_name(r.isa),
                                 outcome.threads, outcome.threads == 1 ? "" : "s");
  if (r.passes > 1) text += fmt::format(", {} passes over memory", r.passes);
  return text;
}

Json difference_json(const Judge& judge, const Difference& difference) {
  return {{"file", judge.file.path},
          {"shape", judge.tensor.shape},
          {"same_shape", difference.same_shape},
          {"bit_equal", difference.bit_equal},
          {"largest_difference", difference.largest},
          {"relative_difference", difference.relative}};
}

// The first sample as (steps, channels); features alone are channels of one step.
Tensor first_rows(const Tensor& tensor, Layout layout, bool is_vector) {
  std::vector<int64_t> shape = tensor.shape;
  while (shape.size() > 2) shape.erase(shape.begin());
  if (is_vector) shape[0] = 1;
  Tensor sample{shape, {}};
  const auto count = static_cast<size_t>(shape[0] * shape[1]);
  sample.data.assign(tensor.data.begin(),
                     tensor.data.begin() + static_cast<std::ptrdiff_t>(std::min(count, tensor.data.size())));
  sample.data.resize(count);
  if (layout == Layout::kChannelsLast || is_vector) return sample;
  Tensor rows{{shape[1], shape[0]}, std::vector<float>(count)};
  for (int64_t c = 0; c < shape[0]; ++c)
    for (int64_t s = 0; s < shape[1]; ++s)
      rows.data[static_cast<size_t>(s * shape[0] + c)] = sample.data[static_cast<size_t>(c * shape[1] + s)];
  return rows;
}

// A file as (steps, channels), whatever it was.
Tensor judge_rows(const Judge& judge, Layout layout) {
  const Layout own = judge.file.format == FileFormat::kNpy ? layout : Layout::kChannelsLast;
  return first_rows(judge.tensor, own, false);
}

}  // namespace

std::string as_text(const Outcome& outcome) {
  const Runnable& r = outcome.runnable;
  const RunArguments& arguments = outcome.arguments;
  std::string text;
  const auto row = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<9} {}\n", name, value);
  };
  row(r.kind, without_controls(r.text));
  row("weights", r.weights);
  const auto tensor_row = [&](const char* what, const std::string& name, const Tensor& tensor, size_t count) {
    const std::string shape = shape_text(tensor.shape);
    row(what, count == 1 ? shape : without_controls(fmt::format("{} {}", name, shape)));
  };
  for (size_t i = 0; i < outcome.inputs.size(); ++i)
    tensor_row("input", r.input_names[i], outcome.inputs[i], outcome.inputs.size());
  for (size_t i = 0; i < outcome.outputs.size(); ++i)
    tensor_row("output", r.outputs[i].name, outcome.outputs[i], outcome.outputs.size());
  row("back end", back_end_text(outcome));
  row("compile", fmt::format("{:.1f} us, {} bytes of code", r.compile_us, r.code_bytes));
  row("run", fmt::format("{:.1f} us{}", outcome.run_us,
                         arguments.repeat > 1 ? fmt::format(" (fastest of {})", arguments.repeat) : ""));
  if (steps_per_second(outcome) > 0) row("speed", speed_text(outcome));
  for (const auto& [judge, difference] : outcome.differences) {
    if (!difference.same_shape) continue;
    row("expected", fmt::format("{}: largest difference {:.3g}, {:.3g} of the largest value{}",
                                judge.file.path, difference.largest, difference.relative,
                                difference.bit_equal ? ", every bit equal" : ""));
  }
  if (outcome.clean) {
    std::string noise = fmt::format("{:.2f} dB in the output", outcome.snr_after);
    if (outcome.snr_before) {
      noise = fmt::format("{:.2f} dB in the input, {}: {:+.2f} dB", *outcome.snr_before, noise,
                          outcome.snr_after - *outcome.snr_before);
    }
    row("noise", "signal-to-noise ratio " + noise);
  }
  for (const std::string& path : outcome.written) row("written", path == "-" ? "standard output" : path);
  for (const std::string& path : outcome.pictures) row("picture", path);
  return text;
}

Json to_json(const Outcome& outcome) {
  const Runnable& r = outcome.runnable;
  Json json{{"kind", r.kind},
            {"spec", r.text},
            {"weights", r.weights},
            {"input_names", r.input_names},
            {"input_shape", outcome.inputs[0].shape},
            {"output_shape", outcome.outputs[0].shape},
            {"backend", backend_name(r.backend)},
            {"isa", isa_name(r.isa)},
            {"threads", outcome.threads},
            {"passes", r.passes},
            {"code_bytes", r.code_bytes},
            {"compile_us", r.compile_us},
            {"run_us", outcome.run_us},
            {"steps_per_second", steps_per_second(outcome)}};
  for (const RunOutput& output : r.outputs) json["output_names"].push_back(output.name);
  if (outcome.rate > 0) json["times_real_time"] = steps_per_second(outcome) / outcome.rate;
  if (!outcome.written.empty()) json["output"] = outcome.written[0];
  if (outcome.inputs.size() > 1)
    for (const Tensor& input : outcome.inputs) json["input_shapes"].push_back(input.shape);
  if (outcome.outputs.size() > 1)
    for (const Tensor& output : outcome.outputs) json["output_shapes"].push_back(output.shape);
  if (outcome.written.size() > 1) json["outputs"] = outcome.written;
  for (const std::string& path : outcome.pictures) json["plot"] = path;
  std::vector<Json> differences;
  for (const auto& [judge, difference] : outcome.differences)
    differences.push_back(difference_json(judge, difference));
  if (!differences.empty()) json["expected"] = differences[0];
  if (differences.size() > 1) json["all_expected"] = differences;
  if (outcome.clean) {
    json["snr_db"] = {{"after", outcome.snr_after}};
    if (outcome.snr_before) json["snr_db"]["before"] = *outcome.snr_before;
  }
  return json;
}

std::string plot_outcome(const Outcome& outcome) {
  const Runnable& r = outcome.runnable;
  constexpr const char* kInput = "#c2410c";
  constexpr const char* kOutput = "#1d4ed8";
  constexpr const char* kClean = "#16a34a";
  constexpr const char* kExpected = "#737373";
  std::vector<Tensor> rows;  // stay where they are: the plot points at them
  rows.reserve(outcome.differences.size() + outcome.outputs.size() + 2);
  const auto add = [&](PlotPanel& panel, Tensor tensor, PlotSignal signal) {
    rows.push_back(std::move(tensor));
    signal.rows = &rows.back();
    panel.signals.push_back(std::move(signal));
  };
  Plot plot{
      .title = r.kind == "model" ? r.text : r.text.substr(0, 90), .panels = {}, .rates = {outcome.rate}};
  const Tensor& input = r.inputs[0].tensor;
  const bool has_features = input.shape.size() == 2;
  PlotPanel first{"input", {}, has_features ? "feature" : "channel", outcome.channels};
  add(first, first_rows(input, r.input_layout, has_features), {"input", nullptr, kInput});
  plot.panels.push_back(std::move(first));
  for (size_t i = 0; i < outcome.outputs.size(); ++i) {
    const Layout layout = r.outputs[i].layout;
    const bool is_vector = r.outputs[i].shape.size() == 2;
    const auto rows_of = [&](const Judge& judge) {
      return is_vector ? first_rows(judge.tensor, layout, true) : judge_rows(judge, layout);
    };
    PlotPanel panel{
        outcome.outputs.size() == 1 ? "output" : r.outputs[i].name, {}, is_vector ? "class" : "channel", {}};
    for (const auto& [judge, difference] : outcome.differences)
      if (judge.output == i && difference.same_shape)
        add(panel, rows_of(judge), {"expected", nullptr, kExpected, 4});
    Tensor output = first_rows(outcome.outputs[i], layout, is_vector);
    if (i == 0 && outcome.clean)
      add(panel, rows_of(*outcome.clean), {"clean", nullptr, kClean, 1.6, output.shape[1] > 1});
    add(panel, std::move(output), {"output", nullptr, kOutput, 1.2});
    plot.panels.push_back(std::move(panel));
    plot.rates.push_back(outcome.rate * r.outputs[i].steps_per_step);
  }
  return svg_text(plot);
}

}  // namespace convsmith::cli
