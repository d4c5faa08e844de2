#include "frontend/models/build_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <queue>
#include <utility>

#include "frontend/keras/dtype_policy.hpp"
#include "frontend/models/layer_ops.hpp"
#include "frontend/models/missing.hpp"
#include "frontend/models/operators.hpp"

namespace convsmith::models {
namespace {

// Nested models may call each other exponentially often. Counted are layers and tensors of calls; the largest
// real networks have some ten thousand.
constexpr std::size_t kMaxWork = std::size_t{1} << 18;

void find_unknown(const ModelTree& model, const std::string& prefix, MissingLayers& out) {
  for (const LayerEntry& layer : model.layers) {
    if (layer.model != nullptr) {
      find_unknown(*layer.model, prefix + layer.name + "/", out);
    } else if (!is_known_class(layer.class_name)) {
      out.add(layer, prefix + layer.name);
    }
  }
}

class LayerList {
 public:
  // Layers that can't be bound, because something is not supported, go to `missing`.
  LayerList(const Architecture& architecture, Rules rules, ModelSpec& spec, std::vector<std::string>& notes,
            MissingLayers& missing)
      : architecture_(architecture), rules_(rules), spec_(spec), notes_(notes), missing_(missing) {}

  Result<void> add(ModelTree& model, const std::string& prefix, bool outermost) {
    for (LayerEntry& layer : model.layers) {
      if (layer.model != nullptr) {
        if (Result<void> done = add(*layer.model, prefix + layer.name + "/", false); !done) return done;
      } else if (!is_known_class(layer.class_name)) {
        continue;  // among the missing ones already
      } else if (layer.is_operator) {
        if (Result<void> done = add_operator(layer, prefix + layer.name); !done) return done;
      } else if (outermost || layer.class_name != "InputLayer") {
        if (Result<void> done = add_layer(layer, prefix + layer.name); !done) return done;
      }
    }
    return {};
  }

  void note_narrowed() {
    for (const auto& [policy, count] : narrowed_)
      notes_.push_back(fmt::format("{} ({} layer{}).", narrowed_note(policy), count, count == 1 ? "" : "s"));
  }

 private:
  Result<void> add_layer(LayerEntry& layer, const std::string& name) {
    std::vector<std::string> notes;
    const BindContext context{.rules = rules_,
                              .dialect = architecture_.dialect,
                              .from_json = true,
                              .notes = &notes,
                              .narrowed = &narrowed_};
    Result<LayerOp> op = bind_op(context, layer.class_name, *layer.config);
    if (!op && op.error().code == ErrorCode::kUnsupported) {
      missing_.add(layer, name, op.error().message);
      return {};
    }
    if (!op) return make_error(op.error().code, fmt::format("Layer {}: {}", quote(name), op.error().message));
    for (const std::string& note : notes) notes_.push_back(fmt::format("Layer {}: {}", quote(name), note));
    if (auto* spec = std::get_if<LayerSpec>(&*op)) {
      spec->name = name;
      const bool may_have_lost_it = spec->kind == LayerKind::kConv1DTranspose &&
                                    architecture_.dialect == Dialect::kKeras3 &&
                                    layer.config->find("output_padding") == nullptr;
      if (may_have_lost_it) {
        notes_.push_back(
            fmt::format("Layer {}: `output_padding` is not in the file, which Keras before 3.15 never saved; "
                        "it is read as "
                        "None.",
                        quote(name)));
      }
    }
    layer.spec_index = static_cast<int>(spec_.layers.size());
    spec_.layers.push_back({name, layer.class_name, std::move(*op), {}});
    return {};
  }

  // One layer for each call, because constants are arguments of calls.
  Result<void> add_operator(LayerEntry& layer, const std::string& name) {
    const BindContext context{.rules = rules_, .dialect = architecture_.dialect, .from_json = true};
    layer.spec_index = static_cast<int>(spec_.layers.size());
    for (const std::vector<const Value*>& arguments : layer.arguments) {
      Result<LayerOp> op = bind_operator(context, layer.class_name, *layer.config, arguments);
      if (!op && op.error().code == ErrorCode::kUnsupported) {
        missing_.add(layer, name, fmt::format("the operator {}: {}", layer.class_name, op.error().message));
        layer.spec_index = -1;
        return {};
      }
      if (!op) {
        return make_error(op.error().code, fmt::format("The operator {} ({}): {}", layer.class_name,
                                                       quote(name), op.error().message));
      }
      spec_.layers.push_back({name, layer.class_name, std::move(*op), {}});
    }
    return {};
  }

  const Architecture& architecture_;
  Rules rules_;
  ModelSpec& spec_;
  std::vector<std::string>& notes_;
  MissingLayers& missing_;
  std::map<std::string, int> narrowed_;
};

class Inliner {
 public:
  explicit Inliner(LoadedModel& out) : out_(out), spec_(out.spec) {}

  // The nodes that are the model's outputs if `inputs` are its inputs; the outermost model has none and makes
  // nodes of its InputLayers.
  // A skipped layer gives kSkipped.
  Result<std::vector<int>> call(const ModelTree& model, const std::string& prefix,
                                const std::vector<int>* inputs) {
    if (Result<void> done = count_work(model); !done) return tl::unexpected(done.error());
    std::vector<std::vector<std::vector<int>>> values(model.layers.size());  // by layer, call, output
    Result<std::vector<Place>> order = sort_calls(model);
    if (!order) return tl::unexpected(order.error());
    for (std::size_t i = 0; i < values.size(); ++i) values[i].resize(model.layers[i].calls.size());
    for (const Place& place : *order) {
      const LayerEntry& layer = model.layers[place.layer];
      std::vector<int> arguments;
      for (const TensorRef& ref : layer.calls[place.call]) arguments.push_back(value_of(values, ref));
      std::vector<int>& out = values[place.layer][place.call];
      if (layer.model != nullptr) {
        Result<std::vector<int>> outputs = call_nested(layer, prefix, arguments);
        if (!outputs) return outputs;
        out = std::move(*outputs);
      } else if (layer.class_name == "InputLayer" && inputs != nullptr) {
        out = {(*inputs)[input_number(model, place.layer)]};
      } else if (layer.spec_index < 0 ||
                 std::find(arguments.begin(), arguments.end(), kSkipped) != arguments.end()) {
        skip(model, place, prefix);
        out = {kSkipped};
      } else {
        const int index = layer.spec_index + (layer.is_operator ? static_cast<int>(place.call) : 0);
        if (Result<void> done = check_arity(layer, index, arguments.size()); !done)
          return tl::unexpected(done.error());
        spec_.nodes.push_back({index, std::move(arguments)});
        out = {static_cast<int>(spec_.nodes.size()) - 1};
      }
    }
    if (inputs == nullptr) {
      for (const TensorRef& ref : model.inputs) {
        // An InputLayer itself may be what can't be bound.
        if (const int node = value_of(values, ref); node != kSkipped) spec_.inputs.push_back(node);
      }
    }
    std::vector<int> outputs;
    for (const TensorRef& ref : model.outputs) outputs.push_back(value_of(values, ref));
    return outputs;
  }

 private:
  struct Place {
    std::size_t layer = 0;
    std::size_t call = 0;
    auto operator<=>(const Place&) const = default;
  };

  Result<void> count_work(const ModelTree& model) {
    for (const LayerEntry& layer : model.layers) {
      for (const std::vector<TensorRef>& refs : layer.calls) work_ += 1 + refs.size();
    }
    work_ += model.layers.size();
    if (work_ <= kMaxWork) return {};
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("The model has more than {} layers and calls with its nested models inlined.", kMaxWork));
  }

  static int value_of(const std::vector<std::vector<std::vector<int>>>& values, const TensorRef& ref) {
    return values[static_cast<std::size_t>(ref.layer)][static_cast<std::size_t>(ref.call)]
                 [static_cast<std::size_t>(ref.tensor)];
  }

  static std::size_t input_number(const ModelTree& model, std::size_t layer) {
    std::size_t i = 0;
    while (model.inputs[i].layer != static_cast<int>(layer)) ++i;
    return i;
  }

  void skip(const ModelTree& model, const Place& place, const std::string& prefix) {
    const LayerEntry& layer = model.layers[place.layer];
    if (place.call > 0) return;
    SkippedLayer skipped{prefix + layer.name, kind_of(layer), {}, layer.spec_index >= 0};
    for (const TensorRef& ref : layer.calls[place.call])
      skipped.inputs.push_back(prefix + model.layers[static_cast<std::size_t>(ref.layer)].name);
    out_.skipped.push_back(std::move(skipped));
  }

  Result<std::vector<int>> call_nested(const LayerEntry& layer, const std::string& prefix,
                                       const std::vector<int>& arguments) {
    if (arguments.size() != layer.model->inputs.size()) {
      return make_error(ErrorCode::kInvalidData,
                        fmt::format("The nested model {} has {} inputs and is called with {}.",
                                    quote(layer.name), layer.model->inputs.size(), arguments.size()));
    }
    return call(*layer.model, prefix + layer.name + "/", &arguments);
  }

  Result<void> check_arity(const LayerEntry& layer, int index, std::size_t count) const {
    const LayerOp& op = spec_.layers[static_cast<std::size_t>(index)].op;
    const auto* merge = std::get_if<MergeOp>(&op);
    const bool takes_two = merge != nullptr && (merge->is_operator || merge->kind == MergeKind::kSubtract);
    const bool joins = merge != nullptr || std::holds_alternative<ConcatenateOp>(op);
    const bool fits = takes_two                             ? count == 2
                      : joins                               ? count >= 2
                      : std::holds_alternative<InputOp>(op) ? count == 0
                                                            : count == 1;
    if (fits) return {};
    return make_error(ErrorCode::kInvalidData, fmt::format("Layer {} ({}) can't be called with {} tensors.",
                                                           quote(layer.name), layer.class_name, count));
  }

  // Each call behind those that it reads, otherwise in the order of the file.
  static Result<std::vector<Place>> sort_calls(const ModelTree& model) {
    std::vector<std::vector<std::size_t>> missing(model.layers.size());
    std::vector<std::vector<std::vector<Place>>> readers(model.layers.size());
    std::priority_queue<Place, std::vector<Place>, std::greater<>> ready;
    std::size_t total = 0;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
      missing[i].resize(model.layers[i].calls.size());
      readers[i].resize(model.layers[i].calls.size());
    }
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
      for (std::size_t j = 0; j < model.layers[i].calls.size(); ++j) {
        ++total;
        for (const TensorRef& ref : model.layers[i].calls[j])
          readers[static_cast<std::size_t>(ref.layer)][static_cast<std::size_t>(ref.call)].push_back({i, j});
        missing[i][j] = model.layers[i].calls[j].size();
        if (missing[i][j] == 0) ready.push({i, j});
      }
    }
    std::vector<Place> order;
    while (!ready.empty()) {
      const Place place = ready.top();
      ready.pop();
      order.push_back(place);
      for (const Place& reader : readers[place.layer][place.call]) {
        if (--missing[reader.layer][reader.call] == 0) ready.push(reader);
      }
    }
    if (order.size() == total) return order;
    for (std::size_t i = 0; i < missing.size(); ++i) {
      for (const std::size_t left : missing[i]) {
        if (left == 0) continue;
        return make_error(ErrorCode::kInvalidData,
                          fmt::format("The calls of model {} form a cycle, with layer {} on it or behind it.",
                                      quote(model.name), quote(model.layers[i].name)));
      }
    }
    return order;
  }

  static constexpr int kSkipped = -1;
  LoadedModel& out_;
  ModelSpec& spec_;
  std::size_t work_ = 0;
};

}  // namespace

Result<LoadedModel> build_spec(Architecture& architecture, Rules rules, bool partial) {
  MissingLayers missing;
  find_unknown(architecture.model, "", missing);
  LoadedModel out;
  out.notes = architecture.notes;
  ModelSpec& spec = out.spec;
  spec.name = architecture.model.name;
  spec.dialect = architecture.dialect;
  LayerList layers(architecture, rules, spec, out.notes, missing);
  const Result<void> added = layers.add(architecture.model, "", true);
  if (!missing.empty()) out.missing = missing.text();
  // What is missing comes before a mistake that may only be there because of it.
  if (!missing.empty() && !(partial && added)) return make_error(ErrorCode::kUnsupported, out.missing);
  if (!added) return tl::unexpected(added.error());
  layers.note_narrowed();
  Result<std::vector<int>> outputs = Inliner(out).call(architecture.model, "", nullptr);
  if (!outputs) return tl::unexpected(outputs.error());
  spec.given_input_names = architecture.model.input_names;
  spec.given_output_names = architecture.model.output_names;
  spec.outputs = std::move(*outputs);
  if (missing.empty()) return out;
  // Whatever can be computed is an output.
  spec.given_output_names.clear();
  spec.outputs.clear();
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) spec.outputs.push_back(static_cast<int>(i));
  return out;
}

}  // namespace convsmith::models
