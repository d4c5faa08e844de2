// `convsmith inspect`: the layers of a model (or one layer) as a table, as Keras's summary() prints it, with
// the work that each one is.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "convsmith/model.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/models/load_model.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/graph_work.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectArguments {
  CommonOptions common;
  std::string weights;
};

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

// A layer as a model of its own.
Result<Model> as_model(const LayerSpec& spec, const CommonOptions& options) {
  if (const auto problem = layer_problem_for(spec, options); !problem) return tl::unexpected(problem.error());
  Shape shape = options.input_shape.empty() ? spec.input_shape : options.input_shape;
  // Further batch axes change nothing.
  if (spec.kind != LayerKind::kDense) shape.erase(shape.begin(), shape.end() - 2);
  const std::string name = spec.name.empty() ? std::string(default_name_of(spec.kind)) : spec.name;
  ModelSpec model;
  model.name = name;
  model.dialect = spec.dialect;
  model.layers = {{"input", "InputLayer", InputOp{shape}, {}},
                  {name, std::string(class_name_of(spec.kind)), spec, {}}};
  model.nodes = {{0, {}}, {1, {0}}};
  model.inputs = {0};
  model.outputs = {1};
  return Model(std::make_shared<const ModelSpec>(std::move(model)));
}

Result<Model> find_model(const InspectArguments& arguments) {
  const CommonOptions& options = arguments.common;
  const Result<Subject> subject = load_subject_with_model_weights(options, arguments.weights);
  if (!subject) return tl::unexpected(subject.error());
  if (const auto* layer = std::get_if<ParsedLayer>(&*subject)) return as_model(layer->spec, options);
  if (const auto* model = std::get_if<LoadedModelSpec>(&*subject)) {
    if (!options.input_shape.empty())
      return refuse("--input-shape is for layers; a model's file says its own.");
    return Model(model->spec);
  }
  return refuse(fmt::format("SPEC is {}; inspect takes a layer or a model.", options.spec));
}

// 75009 as "75,009".
std::string with_commas(double number) {
  if (number < 9e15 && number != std::floor(number)) return fmt::format("{:.2f}", number);
  std::string text = fmt::format("{:.0f}", number);
  for (auto at = static_cast<int>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<size_t>(at), ",");
  return text;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Several inputs or outputs, in the order in which a run takes and gives them.
void print_order(const char* what, const std::vector<std::string>& names) {
  if (names.size() > 1) fmt::print("{}: {}\n", what, without_controls(joined(names)));
}

// By input: how many of its steps one step of an output sees, null for all.
std::vector<std::optional<int64_t>> receptive_fields(const Model& model) {
  const Result<ir::Graph> graph = ir::build_graph(model.spec(), Rules::kAny);
  return graph ? ir::receptive_fields(*graph) : std::vector<std::optional<int64_t>>();
}

void print_receptive_fields(const Model& model) {
  const std::vector<std::optional<int64_t>> fields = receptive_fields(model);
  const std::vector<std::string> names = model.input_names();
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string seen =
        !fields[i]        ? "all steps"
        : *fields[i] == 1 ? "1 step"
                          : fmt::format("at most {} steps", with_commas(static_cast<double>(*fields[i])));
    fmt::print("receptive field: {} of {}\n", seen, without_controls(names[i]));
  }
}

// Whether the steps of all inputs are known; then the work is that of a whole sample, where the ends count,
// too.
bool is_of_samples(const std::vector<LayerSummary>& rows) {
  return !rows.empty() && rows.front().macs_per_sample.has_value();
}

// `skipped` are layers that can't run, or stand behind such.
void print_table(const Model& model, const std::vector<LayerSummary>& rows,
                 const std::vector<SkippedLayer>& skipped = {}) {
  const bool of_sample = is_of_samples(rows);
  std::vector<std::array<std::string, 5>> table = {{"layer (kind)", "output shape", "parameters",
                                                    of_sample ? "MACs a sample" : "MACs a step",
                                                    "connected to"}};
  double parameters = 0;
  double macs = 0;
  for (const LayerSummary& row : rows) {
    const double work = of_sample ? *row.macs_per_sample : row.macs_per_step;
    table.push_back({without_controls(fmt::format("{} ({})", row.name, row.class_name)),
                     shape_text(row.output_shape), with_commas(static_cast<double>(row.parameters)),
                     with_commas(work), without_controls(joined(row.inputs))});
    parameters += static_cast<double>(row.parameters);
    macs += work;
  }
  for (const SkippedLayer& layer : skipped) {
    table.push_back({without_controls(fmt::format("{} ({})", layer.name, layer.kind)),
                     layer.is_supported ? "?" : "not supported", "?", "?",
                     without_controls(joined(layer.inputs))});
  }
  std::array<size_t, 4> widths{};
  for (const auto& cells : table)
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  fmt::print("{}\n\n", without_controls(model.name()));
  for (const auto& c : table) {
    fmt::print("{:<{}}  {:<{}}  {:>{}}  {:>{}}{}{}\n", c[0], widths[0], c[1], widths[1], c[2], widths[2],
               c[3], widths[3], c[4].empty() ? "" : "  ", c[4]);
  }
  if (!skipped.empty()) {
    const auto missing = std::count_if(skipped.begin(), skipped.end(),
                                       [](const SkippedLayer& layer) { return !layer.is_supported; });
    fmt::print("\n{} of {} layers are not supported; shapes behind them are not known.\n", missing,
               rows.size() + skipped.size());
    return;
  }
  fmt::print("\ntotal: {} parameters ({:.1f} KiB), {} multiply-adds for {}\n", with_commas(parameters),
             parameters * 4 / 1024, with_commas(std::round(macs)),
             of_sample ? "a sample" : "each step of " + without_controls(model.input_names().front()));
  print_receptive_fields(model);
  print_order("inputs, in this order", model.input_names());
  print_order("outputs, in this order", model.output_names());
}

template <class Number>
Json optional_json(const std::optional<Number>& number) {
  return number ? Json(*number) : Json(nullptr);
}

Json shape_json(const Shape& shape) {
  Json json = Json::array();
  for (const std::optional<int64_t>& axis : shape) json.push_back(optional_json(axis));
  return json;
}

Json to_json(const Model& model, const std::vector<LayerSummary>& rows) {
  Json json{{"name", model.name()},
            {"inputs", model.input_names()},
            {"outputs", model.output_names()},
            {"layers", Json::array()}};
  int64_t parameters = 0;
  double macs = 0;
  double of_sample = 0;
  for (const LayerSummary& row : rows) {
    json["layers"].push_back({{"name", row.name},
                              {"class_name", row.class_name},
                              {"output_shape", shape_json(row.output_shape)},
                              {"parameters", row.parameters},
                              {"macs_per_step", row.macs_per_step},
                              {"macs_per_sample", optional_json(row.macs_per_sample)},
                              {"connected_to", row.inputs}});
    parameters += row.parameters;
    macs += row.macs_per_step;
    of_sample += row.macs_per_sample.value_or(0);
  }
  json["parameters"] = parameters;
  json["macs_per_step"] = macs;
  json["macs_per_sample"] = is_of_samples(rows) ? Json(of_sample) : Json(nullptr);
  json["receptive_field"] = Json::array();
  for (const std::optional<int64_t>& field : receptive_fields(model))
    json["receptive_field"].push_back(optional_json(field));
  return json;
}

// What can be said of a model with layers that are not supported: its table, marked, and the sentence about
// it.
Result<void> print_partial(const InspectArguments& arguments, const Error& error) {
  const CommonOptions& options = arguments.common;
  const Result<LoadedModel> loaded = load_model(options.spec, {.rules = options.rules, .partial = true});
  if (error.code != ErrorCode::kUnsupported || !loaded || loaded->missing.empty())
    return tl::unexpected(error);
  const Model model(std::make_shared<const ModelSpec>(loaded->spec));
  const auto rows = model.summary();
  if (!rows) return tl::unexpected(rows.error());
  if (options.json) {
    Json json = to_json(model, *rows);
    json["missing"] = loaded->missing;
    for (const SkippedLayer& layer : loaded->skipped)
      json["layers"].push_back({{"name", layer.name},
                                {"class_name", layer.kind},
                                {"supported", layer.is_supported},
                                {"connected_to", layer.inputs}});
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_table(model, *rows, loaded->skipped);
  }
  return tl::unexpected(error);
}

Result<int> inspect(const InspectArguments& arguments) {
  const Result<Model> model = find_model(arguments);
  if (!model) return tl::unexpected(print_partial(arguments, model.error()).error());
  const auto rows = model->summary();
  if (!rows) return tl::unexpected(rows.error());
  if (arguments.common.json) {
    fmt::print("{}\n", to_json(*model, *rows).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_table(*model, *rows);
  }
  return kOk;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("inspect", "Show the layers of a model: shapes, parameters, work");
  const auto arguments = std::make_shared<InspectArguments>();
  add_spec(*command, arguments->common, true, "");
  command->add_option("--weights", arguments->weights, "A file with the model's weights, where SPEC has none")
      ->type_name("FILE");
  add_layer_options(*command, arguments->common);
  command->footer(
      "MACs are multiply-adds, those with padding included: of a whole sample where the steps of all inputs "
      "are given,\nelse of one more step of the first input; layers that work at another rate count for "
      "their "
      "share.\n"
      "Example:\n  convsmith inspect model.keras");
  command->callback([arguments, &exit_code] {
    const Result<int> result = inspect(*arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace convsmith::cli
