// The architecture in JSON: forms of all generations, the surrounding layers, and what is wrong with others.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "convsmith/activation.hpp"
#include "tests/frontend/models/json_models.hpp"
#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using namespace json_models;

std::string message(const std::string& text) {
  return model_files::message(parse_model_json(text));
}

ModelSpec parse(const std::string& text) {
  Result<LoadedModel> model = parse_model_json(text);
  EXPECT_TRUE(model.has_value()) << model.error().message << "\n" << text;
  return model ? model->spec : ModelSpec{};
}

template <class Op>
Op only_layer(const std::string& class_name, const std::string& config,
              const std::string& version = "2.4.0") {
  const ModelSpec spec = parse(with_input(
      fmt::format(R"({{"class_name":"{}","config":{{"name":"a"{}}}}})", class_name, config), version));
  if (spec.layers.size() != 2 || !std::holds_alternative<Op>(spec.layers[1].op)) {
    ADD_FAILURE() << class_name << config;
    return {};
  }
  return std::get<Op>(spec.layers[1].op);
}

// As Keras 3 writes .h5 files: no modules, so only the call tells x + y from Add()([x, y]).
std::string joined_without_module(const std::string& class_name, const std::string& args) {
  const std::string input = R"({{"class_name":"InputLayer","name":"{0}","inbound_nodes":[],)"
                            R"("config":{{"name":"{0}","batch_shape":[null,4,4]}}}})";
  return fmt::format(
      R"({{"class_name":"Functional","keras_version":"3.5.0","config":{{"name":"m","layers":[{},{},)"
      R"({{"class_name":"{}","name":"j","config":{{"name":"j"}},"inbound_nodes":[{{"args":{},"kwargs":{{}}}}]}}],)"
      R"("input_layers":[["a",0,0],["b",0,0]],"output_layers":[["j",0,0]]}}}})",
      fmt::format(fmt::runtime(input), "a"), fmt::format(fmt::runtime(input), "b"), class_name, args);
}

TEST(ModelArchitecture, OperatorsWithoutModulesAreToldByTheirCalls) {
  const auto tensor = [](const char* layer) {
    return fmt::format(R"({{"class_name":"__keras_tensor__","config":{{"keras_history":["{}",0,0]}}}})",
                       layer);
  };
  const std::string two = tensor("a") + "," + tensor("b");
  const std::pair<const char*, const char*> kNames[] = {{"Add", "keras.ops.add"},
                                                        {"Subtract", "keras.ops.subtract"},
                                                        {"Multiply", "keras.ops.multiply"},
                                                        {"Maximum", "keras.ops.maximum"},
                                                        {"Minimum", "keras.ops.minimum"}};
  for (const auto& [layer, operation] : kNames) {
    EXPECT_EQ(parse(joined_without_module(layer, "[" + two + "]")).layers.back().class_name, operation);
    EXPECT_EQ(parse(joined_without_module(layer, "[[" + two + "]]")).layers.back().class_name, layer);
  }
  // A constant beside a tensor is an operator's, too.
  EXPECT_EQ(parse(joined_without_module("Multiply", "[" + tensor("a") + ",2.0]")).layers.back().class_name,
            "keras.ops.multiply");
}

TEST(ModelArchitecture, OldSequentialForms) {
  const std::string layers = conv("a", R"(,"batch_input_shape":[null,8,3])") + "," + conv("b");
  for (const std::string& text :
       {sequential(layers),
        R"({"class_name":"Sequential","config":[)" + layers + R"(],"keras_version":"2.0.8"})",
        R"({"class_name":"Sequential","config":{"layers":[)" + conv("a") + "," + conv("b") +
            R"(],"build_input_shape":[null,8,3]},"keras_version":"2.3.0"})"}) {
    const ModelSpec spec = parse(text);
    ASSERT_EQ(spec.layers.size(), 3U);
    EXPECT_EQ(spec.layers[0].name, "a_input");
    EXPECT_EQ(std::get<InputOp>(spec.layers[0].op).shape, (Shape{8, 3}));
    EXPECT_EQ(std::get<LayerSpec>(spec.layers[1].op).input_shape, Shape{});
    EXPECT_EQ(spec.nodes[2].inputs, (std::vector<int>{1}));
    EXPECT_EQ(spec.dialect, Dialect::kKeras2);
  }
}

TEST(ModelArchitecture, Keras1Names) {
  const std::string layers =
      R"({"class_name":"Convolution1D","config":{"name":"a","nb_filter":4,"filter_length":5,"subsample_length":2,
          "border_mode":"same","bias":false,"init":"he_normal","W_regularizer":{"name":"L2"},"input_dim":3,
          "batch_input_shape":[null,8,3]}},
         {"class_name":"MaxPooling1D","config":{"name":"p","pool_length":3,"stride":2,"border_mode":"valid"}},
         {"class_name":"Dense","config":{"name":"d","output_dim":7,"activation":"tanh"}})";
  const ModelSpec spec =
      parse(R"({"class_name":"Sequential","config":[)" + layers + R"(],"keras_version":"1.2.2"})");
  ASSERT_EQ(spec.layers.size(), 4U);
  const auto& conv = std::get<LayerSpec>(spec.layers[1].op);
  EXPECT_EQ(conv.filters, 4);
  EXPECT_EQ(conv.kernel_size, 5);
  EXPECT_EQ(conv.strides, 2);
  EXPECT_EQ(conv.padding, Padding::kSame);
  EXPECT_FALSE(conv.use_bias);
  EXPECT_EQ(std::get<PoolOp>(spec.layers[2].op).pool_size, 3);
  EXPECT_EQ(std::get<LayerSpec>(spec.layers[3].op).filters, 7);
}

TEST(ModelArchitecture, SurroundingLayers) {
  EXPECT_EQ(only_layer<ActivationOp>("LeakyReLU", "").activation, make_relu(0.3F));
  EXPECT_EQ(only_layer<ActivationOp>("LeakyReLU", R"(,"alpha":0.25)").activation, make_relu(0.25F));
  EXPECT_EQ(only_layer<ActivationOp>("LeakyReLU", R"(,"negative_slope":0.25)", "3.1.0").activation,
            make_relu(0.25F));
  EXPECT_EQ(only_layer<ActivationOp>("ReLU", R"(,"max_value":6,"threshold":1)").activation,
            make_relu(0, 6, 1));
  EXPECT_EQ(only_layer<ActivationOp>("ELU", R"(,"alpha":2)").activation,
            (Activation{ActivationKind::kElu, {2, 0, 0}}));
  EXPECT_EQ(only_layer<ActivationOp>("Softmax", R"(,"axis":[1])").activation,
            (Activation{ActivationKind::kSoftmax, {1, 0, 0}}));
  EXPECT_EQ(only_layer<ActivationOp>("Activation", R"(,"activation":"hard_sigmoid")").activation.kind,
            ActivationKind::kHardSigmoidKeras2);
  EXPECT_EQ(
      only_layer<ActivationOp>("Activation", R"(,"activation":"hard_sigmoid")", "3.0.0").activation.kind,
      ActivationKind::kHardSigmoidKeras3);
  only_layer<IdentityOp>("Activation", R"(,"activation":"linear")");
  for (const char* name : {"Dropout", "SpatialDropout1D", "GaussianNoise", "AlphaDropout"})
    only_layer<IdentityOp>(name, R"(,"rate":0.5)");
  const auto norm =
      only_layer<BatchNormOp>("BatchNormalization", R"(,"axis":[2],"epsilon":0.5,"scale":false)");
  EXPECT_EQ(norm.axis, 2);
  EXPECT_EQ(norm.epsilon, 0.5);
  EXPECT_TRUE(norm.center);
  EXPECT_FALSE(norm.scale);
  const auto pool = only_layer<PoolOp>("AvgPool1D", R"(,"pool_size":[3],"strides":null,"padding":"SAME")");
  EXPECT_TRUE(pool.average);
  EXPECT_EQ(pool.strides, 3);
  EXPECT_EQ(pool.padding, Padding::kSame);
  EXPECT_TRUE(only_layer<GlobalPoolOp>("GlobalAveragePooling1D", R"(,"keepdims":true)").keepdims);
  EXPECT_EQ(only_layer<ZeroPaddingOp>("ZeroPadding1D", R"(,"padding":[0,4])").right, 4);
  EXPECT_EQ(only_layer<ZeroPaddingOp>("ZeroPadding1D", R"(,"padding":3)").left, 3);
  EXPECT_EQ(
      only_layer<CroppingOp>("Cropping1D", R"(,"cropping":{"class_name":"__tuple__","items":[1,2]})").right,
      2);
  EXPECT_EQ(only_layer<UpSamplingOp>("UpSampling1D", R"(,"size":4)").size, 4);
  EXPECT_EQ(only_layer<ReshapeOp>("Reshape", R"(,"target_shape":[-1,2])").target,
            (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(only_layer<PermuteOp>("Permute", R"(,"dims":[2,1])").dims, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(only_layer<LayerSpec>("TimeDistributed",
                                  R"(,"layer":{"class_name":"Dense","config":{"name":"d","units":5}})")
                .filters,
            5);
}

TEST(ModelArchitecture, SharedLayersAndLateDefinitions) {
  // b stands before a, whose output it reads.
  const ModelSpec spec =
      parse(functional(call("Add", "sum", R"([[["c",0,0,{}],["c",1,0,{}]]])") + "," +
                           call("Conv1D", "c", R"([[["x",0,0,{}]],[["pad",0,0,{"training":false}]]])",
                                R"(,"filters":2,"kernel_size":1)") +
                           "," + call("Activation", "pad", R"([[["x",0,0]]])", R"(,"activation":"relu")"),
                       R"(["sum",0,0])"));
  ASSERT_EQ(spec.nodes.size(), 5U);
  EXPECT_EQ(spec.layers.size(), 4U);
  EXPECT_EQ(spec.layers[static_cast<std::size_t>(spec.nodes.back().layer)].name, "sum");
  EXPECT_EQ(spec.outputs, (std::vector<int>{4}));
}

TEST(ModelArchitecture, UnknownLayersAreNamedTogether) {
  EXPECT_EQ(
      message(with_input(
          R"({"class_name":"LSTM","config":{"name":"l"}},)" + conv("a") +
          R"(,{"class_name":"Mine","config":{"name":"m"}},{"class_name":"LSTM","config":{"name":"k"}},
                               {"class_name":"Conv1D","registered_name":"Custom>Conv1D","config":{"name":"n"}})")),
      "The model has layers that are not supported: Custom>Conv1D ('n'), LSTM ('l', 'k'), Mine ('m'). "
      "Custom>Conv1D is no class of Keras, and what it computes is in no file: in its place call Keras's "
      "layers in the model itself (keras.Model(inputs, outputs)). "
      "Mine is no class of Keras, and what it computes is in no file: in its place call Keras's layers in "
      "the model itself (keras.Model(inputs, outputs)).");
}

TEST(ModelArchitecture, WrongGraphs) {
  const std::string good = call("Activation", "a", R"([[["x",0,0,{}]]])", R"(,"activation":"relu")");
  parse(functional(good, R"(["a",0,0])"));
  const auto act = [](const std::string& name, const std::string& nodes) {
    return call("Activation", name, nodes, R"(,"activation":"relu")");
  };
  EXPECT_EQ(message(functional(act("a", R"([[["b",0,0,{}]]])") + "," + act("b", R"([[["a",0,0,{}]]])"),
                               R"(["a",0,0])")),
            "The calls of model 'net' form a cycle, with layer 'a' on it or behind it.");
  EXPECT_EQ(message(functional(act("a", R"([[["q",0,0,{}]]])"), R"(["a",0,0])")),
            "The model 'net' refers to the layer 'q', which it does not have.");
  EXPECT_EQ(message(functional(act("a", R"([[["x",1,0,{}]]])"), R"(["a",0,0])")),
            "The model 'net' refers to call 1 of the layer 'x', which is called 1 times.");
  EXPECT_EQ(message(functional(act("a", R"([[["x",0,3,{}]]])"), R"(["a",0,0])")),
            "The model 'net' refers to output 3 of the layer 'x', which has 1.");
  EXPECT_EQ(message(functional(act("a", R"([[["x",0,0,{}],["x",0,0,{}]]])"), R"(["a",0,0])")),
            "Layer 'a' (Activation) can't be called with 2 tensors.");
  EXPECT_EQ(message(functional(act("a", R"([[["x",0,0,{"training":true}]]])"), R"(["a",0,0])")),
            "A call of layer 'a' has the argument `training`=True, which is not supported.");
  EXPECT_EQ(message(functional(act("a", R"([{"args":[1.5],"kwargs":{}}])"), R"(["a",0,0])")),
            "A call of layer 'a' has the constant 1.5; only tensors are supported.");
  EXPECT_EQ(message(functional(good + "," + good, R"(["a",0,0])")),
            "The model 'net' has two layers with the name 'a'.");
  EXPECT_EQ(message(functional(good, R"(["a",0,0])", R"(["a",0,0])")),
            "`input_layers` of model 'net' names 'a', which is no InputLayer or named twice.");
  EXPECT_EQ(message(functional(good + "," + call("InputLayer", "z", "[]", R"(,"batch_input_shape":[null,1])"),
                               R"(["a",0,0])")),
            "InputLayer 'z' is not among the `input_layers` of model 'net'.");
}

TEST(ModelArchitecture, Messages) {
  EXPECT_EQ(message("{}"),
            "The JSON is no Keras model: it must be an object with `class_name` and `config`.");
  EXPECT_EQ(message("{"), "The JSON text is malformed at column 2.");
  EXPECT_EQ(
      message(R"({"class_name":"Mine","config":{}})"),
      "The JSON is of class 'Mine', and its config has no layers; only Sequential and Functional models "
      "can be read. The layers of a subclass of Model are in its Python code. Where its call() is made of "
      "Keras's layers, x = keras.Input((STEPS, CHANNELS)); keras.Model(x, model.call(x)) is a functional "
      "model with the same weights; save that.");
  EXPECT_EQ(message(R"({"class_name":"Sequential","config":5})"), "The model 'sequential' has no `config`.");
  EXPECT_EQ(message(R"({"class_name":"Sequential","config":{"layers":[]}})"),
            "The model 'sequential' has no list of `layers`.");
  EXPECT_EQ(message(R"({"class_name":"Sequential","config":)" + std::string(100000, '[')),
            "JSON may be nested 64 deep at most.");
  EXPECT_EQ(message(sequential(conv("a"))),
            "Layer 'a_input': The shape of the input is not given: the model was saved before it was built.");
  EXPECT_EQ(message(with_input(conv("a", R"(,"strides":[0])"))),
            "Layer 'a': `strides` must be an integer from 1 to 2147483647, got [0].");
  EXPECT_EQ(message(with_input(R"({"class_name":"MaxPooling1D","config":{"name":"p","pool_size":"2"}})")),
            "Layer 'p': `pool_size` must be an integer from 1 to 2147483647, got '2'.");
  EXPECT_EQ(message(with_input(R"({"class_name":"BatchNormalization","config":{"name":"b","axis":[1,2]}})")),
            "Layer 'b': `axis` may be one axis only, got [1, 2].");
}

// 2^40 calls out of a few kilobytes.
TEST(ModelArchitecture, NestedModelsMayNotExplode) {
  std::string inner = call("Activation", "a", R"([[["x",0,0]]])", R"(,"activation":"relu")");
  std::string last = "a";
  for (int depth = 0; depth < 12; ++depth) {
    std::string model = functional(inner, fmt::format(R"(["{}",{},0])", last, last == "a" ? 0 : 9));
    model.pop_back();  // its keys go on with the name and the calls
    last = fmt::format("m{}", depth);
    std::string nodes = R"([[["x",0,0]])";
    for (int i = 0; i < 9; ++i) nodes += fmt::format(R"(,[["{}",{},0]])", last, i);
    inner = model + fmt::format(R"(,"name":"{}","inbound_nodes":{}]}})", last, nodes);
  }
  EXPECT_EQ(message(functional(inner, fmt::format(R"(["{}",9,0])", last))),
            "The model has more than 262144 layers and calls with its nested models inlined.");
}

// Each value of a real model in turn becomes something else. An error or a model, never a crash.
void replace_each(const nlohmann::json& json, nlohmann::json& whole, const nlohmann::json::json_pointer& at) {
  static const std::vector<nlohmann::json> kOthers = {
      nullptr,         -1,         1e30, "x", nlohmann::json::array(), nlohmann::json::object(),
      {{"a", {1, 2}}}, {1, "y", 3}};
  for (const nlohmann::json& other : kOthers) {
    whole[at] = other;
    (void)parse_model_json(whole.dump());
  }
  whole[at] = json;
  if (!json.is_structured()) return;
  std::size_t i = 0;
  for (const auto& [key, item] : json.items()) {
    replace_each(item, whole, json.is_object() ? at / key : at / i);
    ++i;
  }
}

TEST(ModelArchitecture, SurvivesOtherValuesEverywhere) {
  for (const char* net : {"two_in_two_out_k2", "mobile_k3"}) {
    nlohmann::json whole = nlohmann::json::parse(model_files::bytes_of(std::string(net) + "/model.json"));
    // The first layers show it as well as all would.
    auto& layers = whole["config"]["layers"];
    if (std::string(net) == "mobile_k3") layers.erase(layers.begin() + 6, layers.end());
    const nlohmann::json json = whole;
    replace_each(json, whole, nlohmann::json::json_pointer());
  }
}

TEST(ModelArchitecture, SurvivesFlippedBytes) {
  const std::string good = model_files::bytes_of("nested_k3/model.json");
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = good;
    for (int j = 0; j < 1 + i % 3; ++j) text[random() % text.size()] = static_cast<char>(random());
    (void)parse_model_json(text);
    (void)parse_model_json(std::string_view(good).substr(0, random() % good.size()));
  }
}

}  // namespace
}  // namespace convsmith
