#include "frontend/models/weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "frontend/keras/value.hpp"
#include "frontend/models/layer_ops.hpp"
#include "frontend/models/weight_names.hpp"

namespace convsmith::models {
namespace {

// One weight to be filled in: number `weight` of layer `layer` of the spec.
struct Slot {
  int layer = 0;
  int weight = 0;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

std::string shape_text(const ExpectedWeight& weight) {
  if (weight.any_rank) return "of any shape";
  std::string out;
  for (const std::optional<int64_t>& size : weight.shape)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", size ? fmt::format("{}", *size) : "any");
  return fmt::format("({})", out);
}

bool has_shape(const ExpectedWeight& expected, const std::vector<int64_t>& shape) {
  if (expected.any_rank) return true;
  if (shape.size() != expected.shape.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 1 || (expected.shape[i] && *expected.shape[i] != shape[i])) return false;
  }
  return true;
}

tl::unexpected<Error> invalid(std::string message) {
  return make_error(ErrorCode::kInvalidData, std::move(message));
}

// The node at a path, or which step of it is missing or may not be followed.
Result<const H5Node*> locate(const H5Node& from, std::string_view path) {
  const H5Node* node = &from;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    node = node->find(path.substr(begin, end - begin));
    const std::string_view so_far = path.substr(0, end);
    if (node == nullptr) return invalid(fmt::format("The weights file has no {}.", quote(so_far)));
    if (node->kind == H5Node::Kind::kRefused)
      return invalid(fmt::format("{} in the weights file {}.", quote(so_far), node->reason));
    begin = end + 1;
  }
  return node;
}

class WeightReader {
 public:
  WeightReader(const Architecture& architecture, ModelSpec& spec, std::vector<std::string>& notes)
      : architecture_(architecture), spec_(spec), notes_(notes) {
    for (ModelLayer& layer : spec_.layers) {
      expected_.push_back(expected_weights(layer.op));
      const auto& all = expected_.back();
      layer.weights.resize(static_cast<std::size_t>(std::count_if(
          all.begin(), all.end(), [](const ExpectedWeight& weight) { return !weight.unread; })));
    }
  }

  // Groups that list the names of their weights.
  Result<void> read_listed(const H5Node& root) {
    const H5Node* whole = root.child("model_weights");
    const H5Node& top = whole != nullptr ? *whole : root;
    const auto names = top.strings("layer_names");
    if (!names)
      return invalid("The HDF5 file has no Keras weights: there is no `layer_names` and no group `layers`.");
    if (Result<void> done = check_backend(top); !done) return done;
    std::vector<std::string> filled;  // groups that have weights
    for (const std::string& name : *names) {
      Result<const H5Node*> group = locate(top, name);
      if (!group) return tl::unexpected(group.error());
      const auto weights = (*group)->strings("weight_names");
      if (weights && !weights->empty()) filled.push_back(name);
    }
    std::vector<const LayerEntry*> wanting;
    bool by_name = true;
    for (const LayerEntry& layer : architecture_.model.layers) {
      if (slots_of(layer).empty()) continue;
      wanting.push_back(&layer);
      by_name = by_name && std::find(filled.begin(), filled.end(), layer.name) != filled.end();
    }
    if (!by_name && filled.size() != wanting.size()) {
      return invalid(fmt::format(
          "The weights file has weights of {} layers ({}); the model has {} layers with weights ({}).",
          filled.size(), fmt::join(filled, ", "), wanting.size(), names_of(wanting)));
    }
    if (!by_name)
      notes_.push_back("The layers' names in the weights file are others; weights were taken in order.");
    for (std::size_t i = 0; i < wanting.size(); ++i) {
      const std::string& group = by_name ? wanting[i]->name : filled[i];
      if (Result<void> done = read_group(*wanting[i], top, group); !done) return done;
    }
    return {};
  }

  // Groups by class: layers/conv1d_1/vars/0.
  Result<void> read_by_class(const ModelTree& model, const H5Node& group, const std::string& path) {
    for (const char* name : {"layers", "_layer_checkpoint_dependencies"}) {
      if (group.child(name) == nullptr) continue;
      const std::string inner = path.empty() ? name : fmt::format("{}/{}", path, name);
      Result<const H5Node*> container = locate(group, name);
      if (!container) return tl::unexpected(container.error());
      return read_container(model, **container, inner);
    }
    for (const LayerEntry& layer : model.layers) {
      if (!slots_of(layer).empty())
        return invalid(
            fmt::format("The weights file has no {}.", quote(path.empty() ? "layers" : path + "/layers")));
    }
    return {};
  }

  Result<void> finish() {
    if (converted_ > 0) {
      notes_.push_back(fmt::format("{} weights are stored as {} and were converted to float32.", converted_,
                                   converted_from_));
    }
    return {};
  }

 private:
  static std::string names_of(const std::vector<const LayerEntry*>& layers) {
    std::string out;
    for (const LayerEntry* layer : layers) out += (out.empty() ? "" : ", ") + layer->name;
    return out;
  }

  // Theano flips its kernels.
  Result<void> check_backend(const H5Node& top) const {
    const auto backend = top.strings("backend");
    if (!backend || backend->size() != 1 || backend->front() != "theano") return {};
    return make_error(
        ErrorCode::kUnsupported,
        "The weights were saved with the Theano backend, whose kernels are flipped; that is not supported.");
  }

  // The order in which .h5 files list the weights of a group.
  enum class Order {
    kKeras3,  // trained variables, then others; of a frozen layer or model all as they come
    kKeras2,  // the same, model by model
    kMade     // as layers come
  };

  Order order_of_file() const {
    return architecture_.dialect == Dialect::kKeras3 ? Order::kKeras3 : Order::kKeras2;
  }

  std::vector<Slot> slots_of(const LayerEntry& layer, Order order = Order::kMade) const {
    std::vector<Slot> out;
    if (order == Order::kMade || (order == Order::kKeras3 && is_frozen(layer))) {
      add_as_made(layer, out);
      return out;
    }
    auto [trained, fixed] = split_slots(layer, order);
    trained.insert(trained.end(), fixed.begin(), fixed.end());
    return std::move(trained);
  }

  static bool is_frozen(const LayerEntry& layer) {
    return !layer.trainable || (layer.model != nullptr && !layer.model->trainable);
  }

  // Trained ones and others.
  std::pair<std::vector<Slot>, std::vector<Slot>> split_slots(const LayerEntry& layer, Order order) const {
    std::vector<Slot> trained, fixed;
    if (layer.model != nullptr) {
      for (const LayerEntry& inner : layer.model->layers) {
        const auto [first, second] = split_slots(inner, order);
        trained.insert(trained.end(), first.begin(), first.end());
        fixed.insert(fixed.end(), second.begin(), second.end());
      }
    } else if (layer.spec_index >= 0) {
      const auto& expected = expected_[static_cast<std::size_t>(layer.spec_index)];
      for (std::size_t i = 0; i < expected.size(); ++i) {
        (expected[i].trainable ? trained : fixed).push_back({layer.spec_index, static_cast<int>(i)});
      }
    }
    if (is_frozen(layer) && (order == Order::kKeras2 || layer.model == nullptr)) {
      trained.insert(trained.end(), fixed.begin(), fixed.end());
      fixed = std::move(trained);
      trained.clear();
    }
    return {std::move(trained), std::move(fixed)};
  }

  void add_as_made(const LayerEntry& layer, std::vector<Slot>& out) const {
    if (layer.model != nullptr) {
      for (const LayerEntry& inner : layer.model->layers) add_as_made(inner, out);
    } else if (layer.spec_index >= 0) {
      const auto count = expected_[static_cast<std::size_t>(layer.spec_index)].size();
      for (std::size_t i = 0; i < count; ++i) out.push_back({layer.spec_index, static_cast<int>(i)});
    }
  }

  // By layer of the spec, what the model calls it and what is around it.
  void name_layers(const LayerEntry& layer, std::vector<std::string>& around,
                   std::map<int, WeightName>& out) const {
    if (layer.model != nullptr) {
      around.push_back(layer.name);
      for (const LayerEntry& inner : layer.model->layers) name_layers(inner, around, out);
      around.pop_back();
    } else if (layer.spec_index >= 0) {
      WeightName name{around, {layer.name}, {}};
      const Value* wrapped = layer.config->find("layer");
      const Value* config = wrapped != nullptr ? wrapped->find("config") : nullptr;
      const Value* inner = config != nullptr ? config->find("name") : nullptr;
      if (inner != nullptr && inner->kind == Value::Kind::kString) name.layer.push_back(inner->text);
      out.emplace(layer.spec_index, std::move(name));
    }
  }

  std::vector<WeightName> names_of(const LayerEntry& layer, const std::vector<Slot>& slots) const {
    std::map<int, WeightName> layers;
    std::vector<std::string> around;
    name_layers(layer, around, layers);
    std::vector<WeightName> out;
    for (const Slot& slot : slots) {
      out.push_back(layers.at(slot.layer));
      out.back().weight = expected_of(slot).name;
    }
    return out;
  }

  const ExpectedWeight& expected_of(const Slot& slot) const {
    return expected_[static_cast<std::size_t>(slot.layer)][static_cast<std::size_t>(slot.weight)];
  }

  // The weights that `names` mean, one by one. What the names leave open is decided by order, and said.
  std::vector<Slot> arrange(const LayerEntry& layer, const std::vector<std::string>& names, bool& by_names) {
    const std::vector<Slot> in_order = slots_of(layer, order_of_file());
    const auto matching = match_names(names, names_of(layer, in_order));
    by_names = matching.has_value();
    if (matching) {
      std::vector<Slot> out;
      for (const std::size_t i : *matching) out.push_back(in_order[i]);
      if (!std::is_sorted(matching->begin(), matching->end())) {
        notes_.push_back(fmt::format(
            "The weights of layer {} stand in another order in the file than Keras would list them "
            "in; they were taken by their names.",
            quote(layer.name)));
      }
      return out;
    }
    for (const Order order : {order_of_file(), Order::kKeras3, Order::kKeras2, Order::kMade}) {
      std::vector<Slot> slots = slots_of(layer, order);
      if (!may_be_renamed(names, names_of(layer, slots))) continue;
      notes_.push_back(fmt::format(
          "The weights of layer {} have other layers' names in the file; they were taken in order.",
          quote(layer.name)));
      return slots;
    }
    notes_.push_back(fmt::format(
        "The weights of layer {} have names in the file that disagree with their order ({}); they "
        "were taken in order, which may be wrong.",
        quote(layer.name), fmt::join(names, ", ")));
    return in_order;
  }

  Result<void> read_group(const LayerEntry& layer, const H5Node& top, const std::string& group_name) {
    Result<const H5Node*> group = locate(top, group_name);
    if (!group) return tl::unexpected(group.error());
    const auto names = (*group)->strings("weight_names").value_or(std::vector<std::string>{});
    if (const std::vector<Slot> slots = slots_of(layer); names.size() != slots.size())
      return wrong_number(layer.name, names.size(), slots);
    bool by_names = false;
    const std::vector<Slot> slots = arrange(layer, names, by_names);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (expected_of(slots[i]).unread) continue;
      Result<const H5Node*> node = locate(top, fmt::format("{}/{}", group_name, names[i]));
      if (!node) return tl::unexpected(node.error());
      Result<void> done = fill(slots[i], **node, names[i]);
      if (!done && !by_names) return told_by_order(std::move(done.error()), names[i]);
      if (!done) return done;
    }
    return {};
  }

  static tl::unexpected<Error> told_by_order(Error error, const std::string& name) {
    error.message += fmt::format(
        " It was taken by its place in the file, because its name there, {}, is none of the model's; a "
        ".keras "
        "file would say which is which.",
        quote(name));
    return tl::unexpected(std::move(error));
  }

  tl::unexpected<Error> wrong_number(const std::string& layer, std::size_t found,
                                     const std::vector<Slot>& slots) const {
    std::string wanted;
    for (const Slot& slot : slots) {
      wanted += fmt::format("{}{}", wanted.empty() ? "" : ", ", expected_of(slot).name);
    }
    return invalid(fmt::format("Layer {} has {} weights in the file; by its arguments it has {} ({}).",
                               quote(layer), found, slots.size(), wanted));
  }

  Result<void> read_container(const ModelTree& model, const H5Node& container, const std::string& path) {
    std::map<std::string, int> counts;
    for (const LayerEntry& layer : model.layers) {
      std::string key = snake_case(layer.class_name);
      if (const int number = counts[key]++; number > 0) key += fmt::format("_{}", number);
      const std::vector<Slot> slots = slots_of(layer);
      if (slots.empty()) continue;
      key = choose_key(container, key, layer.name);
      Result<const H5Node*> node = locate(container, key);
      if (!node)
        return invalid(
            fmt::format("The weights of layer {} are missing: {}", quote(layer.name), node.error().message));
      const std::string inner = fmt::format("{}/{}", path, key);
      Result<void> done = layer.model != nullptr ? read_by_class(*layer.model, **node, inner)
                                                 : read_vars(layer, **node, inner, slots);
      if (!done) return done;
    }
    return {};
  }

  // The key by counting, unless the file says that it is another layer and that a third one is meant.
  std::string choose_key(const H5Node& container, const std::string& counted, const std::string& layer) {
    const auto says = [](const H5Node& node) -> std::string {
      const H5Node* vars = node.child("vars");
      const auto name = vars != nullptr ? vars->strings("name") : std::nullopt;
      return name && name->size() == 1 ? name->front() : std::string();
    };
    const H5Node* node = container.child(counted);
    if (node != nullptr) {
      const std::string name = says(*node);
      if (name.empty() || name == layer) return counted;
    }
    for (const auto& [key, other] : container.children) {
      if (says(other) != layer) continue;
      notes_.push_back(fmt::format("The weights of layer {} were found by its name.", quote(layer)));
      return key;
    }
    return counted;
  }

  Result<void> read_vars(const LayerEntry& layer, const H5Node& node, const std::string& path,
                         const std::vector<Slot>& slots) {
    const std::string inner = layer.class_name == "TimeDistributed" ? "layer/vars" : "vars";
    Result<const H5Node*> vars = locate(node, inner);
    if (!vars)
      return invalid(
          fmt::format("The weights of layer {} are missing: {}", quote(layer.name), vars.error().message));
    if ((*vars)->children.size() != slots.size())
      return wrong_number(layer.name, (*vars)->children.size(), slots);
    // Frozen or not, a layer's own variables stand in the order of their making.
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Slot slot{layer.spec_index, static_cast<int>(i)};
      if (expected_of(slot).unread) continue;
      Result<const H5Node*> variable = locate(**vars, fmt::format("{}", i));
      if (!variable) return tl::unexpected(variable.error());
      if (Result<void> done = fill(slot, **variable, fmt::format("{}/{}/{}", path, inner, i)); !done)
        return done;
    }
    return {};
  }

  Result<void> fill(const Slot& slot, const H5Node& node, const std::string& path) {
    ModelLayer& layer = spec_.layers[static_cast<std::size_t>(slot.layer)];
    const ExpectedWeight& expected = expected_of(slot);
    if (node.kind != H5Node::Kind::kDataset)
      return invalid(fmt::format("{} in the weights file is no dataset.", quote(path)));
    Tensor tensor = node.tensor;
    if (const auto* spec = std::get_if<LayerSpec>(&layer.op);
        spec != nullptr && spec->kind == LayerKind::kConv1D && tensor.shape.size() == 4) {
      tensor = keras1_kernel(std::move(tensor), *spec);
    }
    if (!has_shape(expected, tensor.shape)) {
      return invalid(fmt::format("Layer {}: the weight `{}` has the shape {} in the file, expected {}.",
                                 quote(layer.name), expected.name, shape_text(tensor.shape),
                                 shape_text(expected)));
    }
    if (node.stored_as != "float32") {
      ++converted_;
      converted_from_ = node.stored_as;
    }
    layer.weights[static_cast<std::size_t>(slot.weight)] = std::move(tensor);
    return {};
  }

  // Turn this: (taps, 1, channels, filters), or in older files (filters, channels, taps, 1)
  // Into this: (taps, channels, filters)
  static Tensor keras1_kernel(Tensor kernel, const LayerSpec& spec) {
    const std::vector<int64_t> from = kernel.shape;
    if (from[0] == spec.kernel_size && from[1] == 1 && from[3] == spec.filters) {
      kernel.shape = {from[0], from[2], from[3]};
      return kernel;
    }
    if (from[0] != spec.filters || from[2] != spec.kernel_size || from[3] != 1) return kernel;
    Tensor out{{from[2], from[1], from[0]}, std::vector<float>(kernel.data.size())};
    for (int64_t f = 0, i = 0; f < from[0]; ++f) {
      for (int64_t c = 0; c < from[1]; ++c) {
        for (int64_t t = 0; t < from[2]; ++t, ++i)
          out.data[static_cast<std::size_t>((t * from[1] + c) * from[0] + f)] =
              kernel.data[static_cast<std::size_t>(i)];
      }
    }
    return out;
  }

  const Architecture& architecture_;
  ModelSpec& spec_;
  std::vector<std::string>& notes_;
  std::vector<std::vector<ExpectedWeight>> expected_;  // by layer of the spec
  int converted_ = 0;
  std::string converted_from_;
};

// Keras 2.12 on Windows made one group of the name "_layer_checkpoint_dependencies\conv1d".
H5Node split_backslashes(H5Node node) {
  std::map<std::string, H5Node, std::less<>> children = std::move(node.children);
  node.children.clear();
  for (auto& [name, child] : children) {
    H5Node* parent = &node;
    std::size_t begin = 0;
    for (std::size_t end; (end = name.find('\\', begin)) != std::string::npos; begin = end + 1)
      parent = &parent->children[name.substr(begin, end - begin)];
    H5Node& place = parent->children[name.substr(begin)];
    H5Node split = split_backslashes(std::move(child));
    split.children.merge(place.children);  // of a name that another one has brought in already
    place = std::move(split);
  }
  return node;
}

}  // namespace

Result<void> read_weights(const Architecture& architecture, H5Node root, ModelSpec& spec,
                          std::vector<std::string>& notes) {
  WeightReader reader(architecture, spec, notes);
  const bool lists = root.child("model_weights") != nullptr || root.strings("layer_names");
  if (!lists) root = split_backslashes(std::move(root));
  const bool has_classes =
      root.child("layers") != nullptr || root.child("_layer_checkpoint_dependencies") != nullptr;
  Result<void> done =
      !lists && has_classes ? reader.read_by_class(architecture.model, root, "") : reader.read_listed(root);
  return done ? reader.finish() : done;
}

}  // namespace convsmith::models
