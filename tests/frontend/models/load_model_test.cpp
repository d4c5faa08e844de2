// Every file of real Keras loads, and a net's files agree with each other.
#include "frontend/models/load_model.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using model_files::nets;
using model_files::path_of;

// All of an op that files can say, as text.
std::string text_of(const LayerOp& op) {
  return std::visit(
      [](const auto& value) -> std::string {
        using Op = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Op, InputOp>) {
          std::string out = "input";
          for (const auto& size : value.shape) out += size ? fmt::format(" {}", *size) : " any";
          return out;
        } else if constexpr (std::is_same_v<Op, LayerSpec>) {
          return to_call_text(value);
        } else if constexpr (std::is_same_v<Op, ActivationOp>) {
          const auto& p = value.activation.params;
          return fmt::format("activation {} {} {} {}", static_cast<int>(value.activation.kind), p[0], p[1],
                             p[2]);
        } else if constexpr (std::is_same_v<Op, PreluOp>) {
          return "prelu";
        } else if constexpr (std::is_same_v<Op, BatchNormOp>) {
          return fmt::format("norm {} {} {} {}", value.axis, value.epsilon, value.center, value.scale);
        } else if constexpr (std::is_same_v<Op, PoolOp>) {
          return fmt::format("pool {} {} {} {}", value.average, value.pool_size, value.strides,
                             static_cast<int>(value.padding));
        } else if constexpr (std::is_same_v<Op, GlobalPoolOp>) {
          return fmt::format("global {} {}", value.average, value.keepdims);
        } else if constexpr (std::is_same_v<Op, ZeroPaddingOp> || std::is_same_v<Op, CroppingOp>) {
          return fmt::format("sides {} {}", value.left, value.right);
        } else if constexpr (std::is_same_v<Op, UpSamplingOp>) {
          return fmt::format("up {}", value.size);
        } else if constexpr (std::is_same_v<Op, ReshapeOp>) {
          return fmt::format("reshape {}", fmt::join(value.target, " "));
        } else if constexpr (std::is_same_v<Op, PermuteOp>) {
          return fmt::format("permute {}", fmt::join(value.dims, " "));
        } else if constexpr (std::is_same_v<Op, MergeOp>) {
          return fmt::format("merge {}", static_cast<int>(value.kind));
        } else if constexpr (std::is_same_v<Op, ConcatenateOp>) {
          return fmt::format("concatenate {}", value.axis);
        } else {
          return "plain";
        }
      },
      op);
}

void expect_equal(const ModelSpec& a, const ModelSpec& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.dialect, b.dialect);
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(a.outputs, b.outputs);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (std::size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(a.layers[i].name, b.layers[i].name);
    EXPECT_EQ(a.layers[i].class_name, b.layers[i].class_name);
    EXPECT_EQ(a.layers[i].op.index(), b.layers[i].op.index());
    EXPECT_EQ(text_of(a.layers[i].op), text_of(b.layers[i].op));
    EXPECT_TRUE(a.layers[i].weights == b.layers[i].weights) << a.layers[i].name;
  }
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    EXPECT_EQ(a.nodes[i].layer, b.nodes[i].layer);
    EXPECT_EQ(a.nodes[i].inputs, b.nodes[i].inputs);
  }
}

// nodes are in topological order, and every input exists.
void expect_sound(const ModelSpec& spec) {
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) {
    ASSERT_LT(static_cast<std::size_t>(spec.nodes[i].layer), spec.layers.size());
    for (const int input : spec.nodes[i].inputs) {
      ASSERT_GE(input, 0);
      ASSERT_LT(input, static_cast<int>(i));
    }
  }
  ASSERT_FALSE(spec.inputs.empty());
  ASSERT_FALSE(spec.outputs.empty());
  for (const int input : spec.inputs) {
    const auto layer = static_cast<std::size_t>(spec.nodes[static_cast<std::size_t>(input)].layer);
    EXPECT_TRUE(std::holds_alternative<InputOp>(spec.layers[layer].op));
  }
}

Result<LoadedModel> load(const std::string& net, const std::string& file, const std::string& weights = {}) {
  return load_model(path_of(net + "/" + file),
                    {.weights_path = weights.empty() ? std::string() : path_of(net + "/" + weights)});
}

TEST(LoadModel, EveryFileOfANetGivesTheSameModel) {
  ASSERT_EQ(nets().size(), 33U);
  for (const std::string& net : nets()) {
    SCOPED_TRACE(net);
    const Result<LoadedModel> archive = load(net, "model.keras");
    ASSERT_TRUE(archive.has_value()) << archive.error().message;
    EXPECT_EQ(archive->notes, std::vector<std::string>{});
    expect_sound(archive->spec);
    for (const char* file : {"model.h5", "model_keras3.h5"}) {
      if (!std::filesystem::exists(path_of(net + "/" + file))) continue;
      SCOPED_TRACE(file);
      const Result<LoadedModel> other = load(net, file);
      ASSERT_TRUE(other.has_value()) << other.error().message;
      // The trained nets have files of both generations, which name things differently.
      if (other->spec.dialect == archive->spec.dialect) expect_equal(archive->spec, other->spec);
    }
    if (!std::filesystem::exists(path_of(net + "/model.json"))) continue;
    for (const char* weights : {"weights_only.h5", "model.weights.h5", "model.h5", "model.keras"}) {
      if (!std::filesystem::exists(path_of(net + "/" + weights))) continue;
      SCOPED_TRACE(weights);
      const Result<LoadedModel> other = load(net, "model.json", weights);
      ASSERT_TRUE(other.has_value()) << other.error().message;
      expect_equal(archive->spec, other->spec);
    }
  }
}

TEST(LoadModel, BothGenerationsOfANetHaveTheSameShapes) {
  for (const std::string& net : nets()) {
    if (!net.ends_with("_k2")) continue;
    SCOPED_TRACE(net);
    const ModelSpec a = load(net, "model.keras").value().spec;
    const ModelSpec b = load(net.substr(0, net.size() - 1) + "3", "model.keras").value().spec;
    EXPECT_EQ(a.dialect, Dialect::kKeras2);
    EXPECT_EQ(b.dialect, Dialect::kKeras3);
    ASSERT_EQ(a.layers.size(), b.layers.size());
    for (std::size_t i = 0; i < a.layers.size(); ++i) {
      EXPECT_EQ(a.layers[i].class_name, b.layers[i].class_name);
      ASSERT_EQ(a.layers[i].weights.size(), b.layers[i].weights.size());
      for (std::size_t j = 0; j < a.layers[i].weights.size(); ++j)
        EXPECT_EQ(a.layers[i].weights[j].shape, b.layers[i].weights[j].shape);
    }
  }
}

TEST(LoadModel, WithoutWeights) {
  const LoadedModel model = load("nested_k3", "model.json").value();
  expect_sound(model.spec);
  for (const ModelLayer& layer : model.spec.layers) EXPECT_TRUE(layer.weights.empty());
}

TEST(LoadModel, NestedModelsAreInlined) {
  for (const char* net : {"nested_k2", "nested_k3"}) {
    SCOPED_TRACE(net);
    const ModelSpec spec = load(net, "model.h5").value().spec;
    std::vector<std::string> names;
    for (const ModelLayer& layer : spec.layers) names.push_back(layer.name);
    const std::string input = std::string(net) == "nested_k2" ? "input_3" : "input_layer_2";
    EXPECT_EQ(names, (std::vector<std::string>{input, "stem", "residual/block/conv1d",
                                               "residual/block/batch_normalization", "residual/block/re_lu",
                                               "residual/block/conv1d_1", "residual/add", "head"}));
    // The nested model is called twice and has one set of layers.
    std::vector<int> layers;
    for (const ModelNode& node : spec.nodes) layers.push_back(node.layer);
    EXPECT_EQ(layers, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7}));
    EXPECT_EQ(spec.nodes[6].inputs, (std::vector<int>{1, 5}));
    EXPECT_EQ(spec.nodes[11].inputs, (std::vector<int>{6, 10}));
    EXPECT_EQ(spec.nodes[12].inputs, (std::vector<int>{11}));
  }
}

TEST(LoadModel, SeveralInputsAndOutputs) {
  for (const char* net : {"two_in_two_out_k2", "two_in_two_out_k3"}) {
    const ModelSpec spec = load(net, "model.keras").value().spec;
    EXPECT_EQ(spec.inputs.size(), 2U);
    EXPECT_EQ(spec.outputs.size(), 2U);
  }
}

TEST(LoadModel, Messages) {
  EXPECT_EQ(model_files::message(load_model("/no/such/file")), "The file '/no/such/file' does not exist.");
  EXPECT_EQ(model_files::message(load_model("/")),
            "'/' is a folder. A model is a .keras, .h5 or .json file.");
  EXPECT_EQ(model_files::message(load_model_bytes("hello", "x.h5")),
            "'x.h5' is no Keras model: it is neither a zip, an HDF5 nor a JSON file.");
  EXPECT_EQ(
      model_files::message(load("nested_k2", "weights_only.h5")),
      "The HDF5 file has no `model_config`, so it holds weights only; load the model's JSON and give this "
      "file as its weights (weights_path, --weights).");
  const std::string text = model_files::message(load("nested_k2", "model.json", "model.json"));
  EXPECT_NE(text.find("has no weights; expected an HDF5 or .keras file."), std::string::npos) << text;
}

TEST(LoadModel, WeightsOfAnotherNet) {
  const auto result =
      load_model(path_of("seq_conv_k3/model.json"), {.weights_path = path_of("grouped_k3/model.weights.h5")});
  EXPECT_FALSE(result.has_value());
}

}  // namespace
}  // namespace convsmith
