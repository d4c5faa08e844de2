#include "frontend/models/architecture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "frontend/keras/json_value.hpp"
#include "frontend/models/layer_ops.hpp"
#include "frontend/models/model_form.hpp"
#include "frontend/models/operators.hpp"

namespace convsmith::models {
namespace {

using Kind = Value::Kind;

constexpr std::size_t kMaxJsonBytes = std::size_t{8} << 20;

tl::unexpected<Error> invalid(std::string message, ErrorCode code = ErrorCode::kInvalidData) {
  return make_error(code, std::move(message));
}

// A reference as the file writes it.
struct NamedRef {
  std::string_view layer;
  int64_t call = 0;
  int64_t tensor = 0;
  std::string_view key = {};  // of the innermost dictionary around it
};

class TreeReader {
 public:
  explicit TreeReader(std::vector<std::string>& notes) : notes_(notes) {}

  Result<ModelTree> read_model(const Value& object, Form form, const std::string& name) {
    const Value* config = object.find("config");
    if (config == nullptr || (config->kind != Kind::kDict && !config->is_sequence())) {
      return invalid(fmt::format("The model {} has no `config`.", quote(name)));
    }
    ModelTree tree;
    tree.class_name = text_of(object.find("class_name"));
    tree.name = text_of(config->find("name"));
    if (tree.name.empty()) tree.name = name;
    tree.trainable = is_trainable(*config);
    const Value* layers = config->is_sequence() ? config : config->find("layers");
    if (layers == nullptr || !layers->is_sequence() || layers->items.empty()) {
      return invalid(fmt::format("The model {} has no list of `layers`.", quote(tree.name)));
    }
    const bool sequential = form == Form::kSequential;
    if (is_own_class(tree.class_name)) {
      notes_.push_back(
          fmt::format("The model {} is of the class {}; it is read as the {} model that its config "
                      "describes, without the class's own code.",
                      quote(tree.name), quote(tree.class_name), sequential ? "Sequential" : "functional"));
    }
    for (const Argument& item : layers->items) {
      Result<LayerEntry> layer = read_layer(item.value, tree);
      if (!layer) return tl::unexpected(layer.error());
      const Value* branches = layer->class_name == "Merge" ? layer->config->find("layers") : nullptr;
      if (sequential && tree.layers.empty() && branches != nullptr) {
        if (Result<void> done = add_branches(*branches, *layer, tree); !done)
          return tl::unexpected(done.error());
      }
      tree.layers.push_back(std::move(*layer));
    }
    Result<void> done = sequential ? chain(*config, tree) : connect(*config, *layers, tree);
    if (!done) return tl::unexpected(done.error());
    return tree;
  }

 private:
  static bool is_trainable(const Value& config) {
    const Value* flag = config.find("trainable");
    return flag == nullptr || flag->kind != Kind::kBool || flag->integer != 0;
  }

  Result<LayerEntry> read_layer(const Value& object, const ModelTree& parent) {
    const std::string_view written = text_of(object.find("class_name"));
    const Value* config = object.find("config");
    if (written.empty() || config == nullptr) {
      return invalid(fmt::format("Layer number {} of model {} has no `class_name` or no `config`.",
                                 parent.layers.size(), quote(parent.name)));
    }
    LayerEntry layer;
    const Form form = form_of(object);
    layer.class_name =
        form == Form::kNone ? class_of(object, written) : std::string(canonical_class(written));
    layer.is_operator = is_operator(object, written);
    layer.name = text_of(object.find("name"));
    if (layer.name.empty()) layer.name = text_of(config->find("name"));
    if (layer.name.empty()) layer.name = fmt::format("{}_{}", snake_case(written), parent.layers.size());
    layer.config = config;
    layer.nodes = object.find("inbound_nodes");
    layer.trainable = is_trainable(*config);
    if (form != Form::kNone) {
      Result<ModelTree> model = read_model(object, form, layer.name);
      if (!model) return tl::unexpected(model.error());
      layer.model = std::make_unique<ModelTree>(std::move(*model));
    } else if (config->kind != Kind::kDict) {
      return invalid(fmt::format("The `config` of layer {} is no object.", quote(layer.name)));
    }
    return layer;
  }

  // The layer's or model's config that says the shape of the first input, or null.
  static const Value* shape_of_input(const LayerEntry& first) {
    if (first.model != nullptr) {
      const ModelTree& model = *first.model;
      return model.inputs.size() == 1
                 ? model.layers[static_cast<std::size_t>(model.inputs.front().layer)].config
                 : nullptr;
    }
    for (const char* key : {"batch_input_shape", "batch_shape"}) {
      const Value* shape = first.config->find(key);
      if (shape != nullptr && shape->is_sequence()) return first.config;
    }
    return nullptr;
  }

  // A Sequential model of Keras 1 may begin with a Merge of models. Their layers become layers of this one,
  // as files of weights list them; they and the Merge have their calls already.
  Result<void> add_branches(const Value& branches, LayerEntry& merge, ModelTree& tree) {
    merge.calls.emplace_back();
    for (const Argument& item : branches.items) {
      const Form form = form_of(item.value);
      if (form == Form::kNone) {
        return invalid(fmt::format("The Merge {} joins a layer {}; only models can be branches.",
                                   quote(merge.name), quote(text_of(item.value.find("class_name")))),
                       ErrorCode::kUnsupported);
      }
      Result<ModelTree> branch =
          read_model(item.value, form, fmt::format("branch_{}", merge.calls.front().size()));
      if (!branch) return tl::unexpected(branch.error());
      const auto first = static_cast<int>(tree.layers.size());
      const auto moved = [&](TensorRef ref) { return TensorRef{ref.layer + first, ref.call, ref.tensor}; };
      for (LayerEntry& layer : branch->layers) {
        const auto has_name = [&](const LayerEntry& other) { return other.name == layer.name; };
        if (std::any_of(tree.layers.begin(), tree.layers.end(), has_name)) {
          return invalid(
              fmt::format("Two branches of the Merge {} have a layer {}; branches that share layers "
                          "are not supported in a Sequential model, but in a functional one.",
                          quote(merge.name), quote(layer.name)),
              ErrorCode::kUnsupported);
        }
        for (std::vector<TensorRef>& refs : layer.calls)
          std::transform(refs.begin(), refs.end(), refs.begin(), moved);
      }
      std::move(branch->layers.begin(), branch->layers.end(), std::back_inserter(tree.layers));
      std::transform(branch->inputs.begin(), branch->inputs.end(), std::back_inserter(tree.inputs), moved);
      tree.input_names.insert(tree.input_names.end(), branch->input_names.begin(), branch->input_names.end());
      for (const TensorRef& ref : branch->outputs) merge.calls.front().push_back(moved(ref));
    }
    return {};
  }

  // Sequential: each layer reads the one before, and the first the input, unless it has its inputs already.
  // Older files have no InputLayer.
  Result<void> chain(const Value& config, ModelTree& tree) {
    const bool has_inputs = !tree.inputs.empty();
    if (!has_inputs && tree.layers.front().class_name != "InputLayer") {
      LayerEntry input;
      input.name = tree.layers.front().name + "_input";
      input.class_name = "InputLayer";
      input.config = shape_of_input(tree.layers.front());
      if (input.config == nullptr) input.config = &config;
      tree.layers.insert(tree.layers.begin(), std::move(input));
    }
    for (std::size_t i = 0; i < tree.layers.size(); ++i) {
      LayerEntry& layer = tree.layers[i];
      if (!layer.calls.empty()) continue;
      if (i > 0 && layer.class_name == "InputLayer") {
        return invalid(
            fmt::format("Layer {} of the Sequential model {} is an InputLayer; only the first may be.",
                        quote(layer.name), quote(tree.name)));
      }
      layer.calls.emplace_back();
      if (i > 0) layer.calls.front().push_back({static_cast<int>(i - 1), 0, 0});
    }
    if (!has_inputs) tree.inputs = {{0, 0, 0}};
    tree.outputs = {{static_cast<int>(tree.layers.size()) - 1, 0, 0}};
    if (!has_inputs) tree.input_names = {tree.layers.front().name};
    tree.output_names = {tree.layers.back().name};
    return {};
  }

  Result<void> connect(const Value& config, const Value& layers, ModelTree& tree) {
    std::map<std::string_view, int> index;
    for (std::size_t i = 0; i < tree.layers.size(); ++i) {
      if (!index.emplace(tree.layers[i].name, static_cast<int>(i)).second) {
        return invalid(fmt::format("The model {} has two layers with the name {}.", quote(tree.name),
                                   quote(tree.layers[i].name)));
      }
    }
    // References before they are checked: by layer, by call; then the model's inputs and outputs.
    std::vector<std::vector<std::vector<NamedRef>>> calls(tree.layers.size());
    for (std::size_t i = 0; i < tree.layers.size(); ++i) {
      if (Result<void> done = read_calls(layers.items[i].value, tree.layers[i], calls[i]); !done) return done;
    }
    std::vector<NamedRef> ends[2];
    const char* const keys[] = {"input_layers", "output_layers"};
    for (std::size_t i = 0; i < 2; ++i) {
      const Value* refs = config.find(keys[i]);
      if (refs != nullptr) {
        if (Result<void> done = collect(*refs, fmt::format("`{}`", keys[i]), {}, ends[i]); !done) return done;
      }
      if (ends[i].empty())
        return invalid(fmt::format("The model {} has no `{}`.", quote(tree.name), keys[i]));
    }
    const std::vector<int> first_call = find_first_calls(tree, index, calls, ends);
    const auto resolve = [&](const std::vector<NamedRef>& refs, std::vector<TensorRef>& out) -> Result<void> {
      for (const NamedRef& ref : refs) {
        Result<TensorRef> found = find_tensor(ref, tree, index, first_call);
        if (!found) return tl::unexpected(found.error());
        out.push_back(*found);
      }
      return {};
    };
    for (std::size_t i = 0; i < calls.size(); ++i) tree.layers[i].calls.resize(calls[i].size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      for (std::size_t j = 0; j < calls[i].size(); ++j) {
        if (Result<void> done = resolve(calls[i][j], tree.layers[i].calls[j]); !done) return done;
      }
    }
    if (Result<void> done = resolve(ends[0], tree.inputs); !done) return done;
    if (Result<void> done = resolve(ends[1], tree.outputs); !done) return done;
    for (const NamedRef& ref : ends[0]) tree.input_names.emplace_back(ref.key.empty() ? ref.layer : ref.key);
    for (const NamedRef& ref : ends[1]) tree.output_names.emplace_back(ref.key.empty() ? ref.layer : ref.key);
    return check_inputs(tree);
  }

  static Result<void> check_inputs(const ModelTree& tree) {
    std::vector<bool> listed(tree.layers.size(), false);
    for (const TensorRef& ref : tree.inputs) {
      const auto layer = static_cast<std::size_t>(ref.layer);
      if (tree.layers[layer].class_name != "InputLayer" || listed[layer]) {
        return invalid(
            fmt::format("`input_layers` of model {} names {}, which is no InputLayer or named twice.",
                        quote(tree.name), quote(tree.layers[layer].name)));
      }
      listed[layer] = true;
    }
    for (std::size_t i = 0; i < tree.layers.size(); ++i) {
      if (tree.layers[i].class_name == "InputLayer" && !listed[i]) {
        return invalid(fmt::format("InputLayer {} is not among the `input_layers` of model {}.",
                                   quote(tree.layers[i].name), quote(tree.name)));
      }
    }
    return {};
  }

  Result<void> read_calls(const Value& object, LayerEntry& layer, std::vector<std::vector<NamedRef>>& out) {
    const Value* nodes = object.find("inbound_nodes");
    if (layer.class_name == "InputLayer") {
      out.emplace_back();
      return {};
    }
    if (nodes == nullptr || !nodes->is_sequence())
      return invalid(fmt::format("Layer {} has no list of `inbound_nodes`.", quote(layer.name)));
    const std::string where = layer.is_operator
                                  ? fmt::format("A call of {} ({})", layer.class_name, quote(layer.name))
                                  : fmt::format("A call of layer {}", quote(layer.name));
    // Whatever an unknown layer is called with, that it is unknown is what matters.
    skips_constants_ = layer.model == nullptr && !is_known_class(layer.class_name);
    for (const Argument& node : nodes->items) {
      out.emplace_back();
      const Value* args = node.value.find("args");
      if (layer.is_operator && args != nullptr) {
        if (Result<void> done = read_operands(*args, where, layer, out.back()); !done) return done;
      } else if (Result<void> done = collect(args != nullptr ? *args : node.value, where, {}, out.back());
                 !done)
        return done;
      if (layer.model != nullptr) sort_by_names(*layer.model, out.back());
      const Value* kwargs = node.value.find("kwargs");
      if (kwargs != nullptr) {
        if (Result<void> done = read_kwargs(*kwargs, where, out.back()); !done) return done;
      }
      if (out.back().empty() && !skips_constants_)
        return invalid(fmt::format("{} has no input tensor.", where));
    }
    return {};
  }

  // A nested model takes the tensors of a dictionary by the names of its inputs, whatever their order.
  static void sort_by_names(const ModelTree& model, std::vector<NamedRef>& refs) {
    std::vector<NamedRef> sorted;
    for (const std::string& name : model.input_names) {
      const auto found =
          std::find_if(refs.begin(), refs.end(), [&](const NamedRef& ref) { return ref.key == name; });
      if (found == refs.end()) return;
      sorted.push_back(*found);
    }
    refs = std::move(sorted);
  }

  Result<void> read_operands(const Value& args, const std::string& where, LayerEntry& layer,
                             std::vector<NamedRef>& out) {
    layer.arguments.emplace_back();
    for (const Argument& argument : args.items) {
      const bool is_constant = !has_tensor(argument.value);
      layer.arguments.back().push_back(is_constant ? &argument.value : nullptr);
      if (is_constant) continue;
      if (Result<void> done = collect(argument.value, where, {}, out); !done) return done;
    }
    return {};
  }

  static bool has_tensor(const Value& value) {
    if (text_of(value.find("class_name")) == "__keras_tensor__") return true;
    return std::any_of(value.items.begin(), value.items.end(),
                       [](const Argument& item) { return has_tensor(item.value); });
  }

  // The tensors in any nesting of lists and dictionaries, in Keras's order.
  Result<void> collect(const Value& value, const std::string& where, std::string_view key,
                       std::vector<NamedRef>& out) {
    const Value* ref = &value;
    if (text_of(value.find("class_name")) == "__keras_tensor__") {
      const Value* config = value.find("config");
      ref = config != nullptr ? config->find("keras_history") : nullptr;
      if (ref == nullptr) return invalid(fmt::format("{} has a tensor without `keras_history`.", where));
    }
    if (is_reference(*ref)) {
      out.push_back(
          {ref->items[0].value.text, ref->items[1].value.integer, ref->items[2].value.integer, key});
      return ref->items.size() > 3 ? read_kwargs(ref->items[3].value, where, out) : Result<void>{};
    }
    if (value.kind == Kind::kNone) return {};
    if (!value.is_sequence() && value.kind != Kind::kDict) {
      if (skips_constants_) return {};
      return invalid(
          fmt::format("{} has the constant {}; only tensors are supported.", where, describe(value)),
          ErrorCode::kUnsupported);
    }
    std::vector<const Argument*> items;
    for (const Argument& item : value.items) items.push_back(&item);
    if (value.kind == Kind::kDict) {
      std::sort(items.begin(), items.end(),
                [](const Argument* a, const Argument* b) { return a->name < b->name; });
    }
    for (const Argument* item : items) {
      const std::string_view inner = value.kind == Kind::kDict ? std::string_view(item->name) : key;
      if (Result<void> done = collect(item->value, where, inner, out); !done) return done;
    }
    return {};
  }

  static bool is_reference(const Value& value) {
    return value.is_sequence() && value.items.size() >= 3 && value.items[0].value.kind == Kind::kString &&
           value.items[1].value.kind == Kind::kInt && value.items[2].value.kind == Kind::kInt;
  }

  // None, False, or a container of such: mask={"a": None, "b": None}.
  static bool is_off(const Value& value) {
    if (value.kind == Kind::kNone || (value.kind == Kind::kBool && value.integer == 0)) return true;
    return (value.is_sequence() || value.kind == Kind::kDict) &&
           std::all_of(value.items.begin(), value.items.end(),
                       [](const Argument& item) { return is_off(item.value); });
  }

  Result<void> read_kwargs(const Value& kwargs, const std::string& where, std::vector<NamedRef>& out) {
    if (skips_constants_) return collect(kwargs, where, {}, out);
    for (const Argument& item : kwargs.items) {
      if (!is_off(item.value)) {
        return invalid(fmt::format("{} has the argument `{}`={}, which is not supported.", where, item.name,
                                   describe(item.value)),
                       ErrorCode::kUnsupported);
      }
    }
    return {};
  }

  // Keras has counted the calls of a nested model from 0, or from 1 where the model's own making is call 0.
  // Files keep no calls that nobody reads, so the largest number tells.
  static std::vector<int> find_first_calls(const ModelTree& tree,
                                           const std::map<std::string_view, int>& index,
                                           const std::vector<std::vector<std::vector<NamedRef>>>& calls,
                                           const std::vector<NamedRef> (&ends)[2]) {
    std::vector<int> first(tree.layers.size(), 0);
    const auto look = [&](const std::vector<NamedRef>& refs) {
      for (const NamedRef& ref : refs) {
        const auto found = index.find(ref.layer);
        if (found == index.end()) continue;
        const auto layer = static_cast<std::size_t>(found->second);
        const bool beyond = ref.call == static_cast<int64_t>(calls[layer].size());
        if (tree.layers[layer].model != nullptr && beyond) first[layer] = 1;
      }
    };
    for (const auto& layer : calls) {
      for (const auto& refs : layer) look(refs);
    }
    look(ends[0]);
    look(ends[1]);
    return first;
  }

  static Result<TensorRef> find_tensor(const NamedRef& ref, const ModelTree& tree,
                                       const std::map<std::string_view, int>& index,
                                       const std::vector<int>& first_call) {
    const auto found = index.find(ref.layer);
    if (found == index.end()) {
      return invalid(fmt::format("The model {} refers to the layer {}, which it does not have.",
                                 quote(tree.name), quote(ref.layer)));
    }
    const LayerEntry& layer = tree.layers[static_cast<std::size_t>(found->second)];
    const auto first = static_cast<int64_t>(first_call[static_cast<std::size_t>(found->second)]);
    const auto count = static_cast<int64_t>(layer.calls.size());
    if (ref.call < first || ref.call - first >= count) {
      return invalid(fmt::format("The model {} refers to call {} of the layer {}, which is called {} times.",
                                 quote(tree.name), ref.call, quote(ref.layer), count));
    }
    const bool is_open = layer.model == nullptr && !is_known_class(layer.class_name);
    const std::size_t outputs = layer.model != nullptr ? layer.model->outputs.size() : 1;
    if (is_open && ref.tensor >= 0) return TensorRef{found->second, static_cast<int>(ref.call - first), 0};
    if (ref.tensor < 0 || ref.tensor >= static_cast<int64_t>(outputs)) {
      return invalid(fmt::format("The model {} refers to output {} of the layer {}, which has {}.",
                                 quote(tree.name), ref.tensor, quote(ref.layer), outputs));
    }
    return TensorRef{found->second, static_cast<int>(ref.call - first), static_cast<int>(ref.tensor)};
  }

  std::vector<std::string>& notes_;
  bool skips_constants_ = false;  // of the layer whose calls are read
};

tl::unexpected<Error> refuse_class(const Value& json, std::string_view class_name) {
  const Value* config = json.find("config");
  const bool has_layers = config != nullptr && is_list_of_layers(config->find("layers"));
  return invalid(
      fmt::format(
          "The JSON is of class {}, and its config has {}; only Sequential and Functional models can be "
          "read. {}",
          quote(class_name),
          has_layers
              ? "layers but says no shape of an input, as a Sequential model that is built does (model.build)"
              : "no layers",
          has_layers
              ? "What a class computes in its own call() is in no file: build it from the functional API, "
                "keras.Model(inputs, outputs), and save that."
              : "The layers of a subclass of Model are in its Python code. Where its call() is made of "
                "Keras's "
                "layers, x = keras.Input((STEPS, CHANNELS)); keras.Model(x, model.call(x)) is a functional "
                "model with the same weights; save that."),
      ErrorCode::kUnsupported);
}

Dialect decide_dialect(const Value& json, std::string_view keras_version) {
  if (!keras_version.empty()) return keras_version[0] >= '3' ? Dialect::kKeras3 : Dialect::kKeras2;
  return json.find("module") != nullptr ? Dialect::kKeras3 : Dialect::kKeras2;
}

}  // namespace

bool is_model(const Value& object) {
  if (form_of_file(object) != Form::kNone || is_saved_own_class(object)) return true;
  const Value* config = object.find("config");
  const bool has_layers = config != nullptr && is_list_of_layers(config->find("layers"));
  return !text_of(object.find("class_name")).empty() &&
         (has_layers || object.find("compile_config") != nullptr);
}

Result<std::unique_ptr<Architecture>> read_architecture(std::string_view text,
                                                        std::string_view keras_version) {
  if (text.size() > kMaxJsonBytes) {
    return invalid(
        fmt::format("The model's JSON has {} bytes; at most {} are read.", text.size(), kMaxJsonBytes),
        ErrorCode::kUnsupported);
  }
  tl::expected<Value, JsonProblem> json = read_json(text);
  if (!json) return tl::unexpected(std::move(json.error().error));
  auto out = std::make_unique<Architecture>();
  out->json = std::move(*json);
  const std::string_view class_name = text_of(out->json.find("class_name"));
  if (class_name.empty()) {
    return invalid("The JSON is no Keras model: it must be an object with `class_name` and `config`.");
  }
  const Form form = form_of_file(out->json);
  if (form == Form::kNone) return refuse_class(out->json, class_name);
  const std::string_view own_version = text_of(out->json.find("keras_version"));
  out->keras_version = own_version.empty() ? keras_version : own_version;
  out->dialect = decide_dialect(out->json, out->keras_version);
  Result<ModelTree> tree =
      TreeReader(out->notes).read_model(out->json, form, class_name == "Sequential" ? "sequential" : "model");
  if (!tree) return tl::unexpected(tree.error());
  out->model = std::move(*tree);
  return out;
}

}  // namespace convsmith::models
