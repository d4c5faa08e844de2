// Files that Keras reads though they are unusual: classes of somebody's own, names of Keras 1, dtype
// policies; and what is said of those that can't be read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "frontend/keras/parse_layer.hpp"
#include "tests/frontend/models/json_models.hpp"
#include "tests/frontend/models/model_files.hpp"

namespace convsmith {
namespace {

using namespace json_models;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

LoadedModel load(const std::string& text) {
  Result<LoadedModel> model = parse_model_json(text);
  EXPECT_TRUE(model) << model.error().message << "\n" << text;
  return model ? std::move(*model) : LoadedModel{};
}
std::string message(const std::string& text) {
  return model_files::message(parse_model_json(text));
}

const std::string kInput =
    R"({"class_name":"InputLayer","config":{"name":"x","batch_input_shape":[null,8,3]}})";

TEST(OwnModelClasses, AreWhatTheirConfigIs) {
  std::string text = functional(call("Conv1D", "c", R"([[["x",0,0,{}]]])", R"(,"filters":2,"kernel_size":3)"),
                                R"(["c",0,0])");
  text.replace(text.find("\"Model\""), 7, "\"Denoiser\"");
  const LoadedModel model = load(text);
  EXPECT_EQ(model.spec.nodes.size(), 2U);
  EXPECT_THAT(model.notes,
              ElementsAre("The model 'net' is of the class 'Denoiser'; it is read as the functional "
                          "model that its config describes, without the class's own code."));
}

TEST(OwnModelClasses, OfSequentialModels) {
  for (const std::string& config :
       {fmt::format(R"({{"name":"net","layers":[{},{}]}})", kInput, conv("a")),
        fmt::format(R"({{"name":"net","layers":[{}],"build_input_shape":[null,8,3]}})", conv("a")),
        fmt::format(R"([{}])", conv("a", R"(,"batch_input_shape":[null,8,3])"))}) {
    const LoadedModel model = load(
        R"({"class_name":"MyStack","registered_name":"pkg>MyStack","module":null,"config":)" + config + "}");
    EXPECT_EQ(model.spec.layers.size(), 2U) << config;
    EXPECT_THAT(model.notes, ElementsAre(HasSubstr("read as the Sequential model")));
  }
}

TEST(OwnModelClasses, InsideOtherModels) {
  const LoadedModel model = load(with_input(
      fmt::format(
          R"({{"class_name":"Block","registered_name":"pkg>Block","config":{{"name":"b","layers":[{},{}]}}}},)",
          kInput, conv("a")) +
      conv("z")));
  ASSERT_EQ(model.spec.layers.size(), 3U);
  EXPECT_EQ(model.spec.layers[1].name, "b/a");
  EXPECT_THAT(model.notes, ElementsAre(HasSubstr("class 'Block'")));
}

// A layer of somebody's own may hold layers and add them up.
TEST(OwnModelClasses, ListsOfLayersAloneAreNoModel) {
  EXPECT_THAT(message(with_input(R"({"class_name":"Residual","config":{"name":"r","layers":[)" + conv("a") +
                                 "," + conv("b") + "]}}")),
              HasSubstr("not supported: Residual ('r')"));
  EXPECT_THAT(message(R"({"class_name":"MyModel","config":{"units":[64,64]}})"),
              HasSubstr("is a functional model with the same weights"));
}

// As Keras 2 writes a subclass of Sequential around models that were built before.
TEST(OwnModelClasses, OfSequentialModelsAroundOthers) {
  const auto net = [](const std::string& layers, const std::string& more = {}) {
    return fmt::format(R"({{"class_name":"Net","config":{{"name":"net"{},"layers":[{}]}}}})", more, layers);
  };
  const auto inner = [](const std::string& name, const std::string& layers, const std::string& more = {}) {
    return fmt::format(R"({{"class_name":"Sequential","config":{{"name":"{}"{},"layers":[{}]}}}})", name,
                       more, layers);
  };
  const std::string shaped = conv("a", R"(,"batch_input_shape":[null,8,3])");
  const std::string rest = "," + inner("t", conv("z"));
  for (const std::string& text :
       {net(inner("s", kInput + "," + conv("a")) + rest), net(inner("s", shaped) + rest),
        net(inner("s", conv("a"), R"(,"build_input_shape":[null,8,3])") + rest),
        net(inner("o", inner("s", shaped)) + rest)}) {
    const LoadedModel model = load(text);
    ASSERT_EQ(model.spec.layers.size(), 3U) << text;
    EXPECT_EQ(std::get<InputOp>(model.spec.layers[0].op).shape, Shape({8, 3}));
    EXPECT_EQ(model.spec.layers[2].name, "t/z");
    EXPECT_THAT(model.notes, ElementsAre(HasSubstr("read as the Sequential model")));
  }
  // Nothing says the shape, the class has something of its own, or it is a layer in a model.
  EXPECT_THAT(message(net(inner("s", conv("a")) + rest)), HasSubstr("says no shape of an input"));
  EXPECT_THAT(message(net(inner("s", shaped) + rest, R"(,"gain":2)")),
              HasSubstr("says no shape of an input"));
  EXPECT_THAT(message(with_input(net(inner("s", shaped) + rest))), HasSubstr("not supported: Net ('net')"));
}

std::string merge_of_two(const std::string& mode, const std::string& second = "b",
                         const std::string& more = {}) {
  const auto branch = [](const std::string& name, const std::string& layers) {
    return fmt::format(
        R"({{"class_name":"Sequential","config":[{{"class_name":"Convolution1D","config":{{"name":"{}",
            "nb_filter":2,"filter_length":3,"batch_input_shape":[null,8,3]}}}}{}]}})",
        name, layers);
  };
  const std::string relu = R"(,{"class_name":"Activation","config":{"name":"r","activation":"relu"}})";
  return fmt::format(
      R"({{"class_name":"Sequential","keras_version":"1.2.2","config":[{{"class_name":"Merge","config":
          {{"name":"m","mode":"{}","concat_axis":1,"dot_axes":-1,"layers":[{},{}{}]}}}},{}]}})",
      mode, branch("a", ""), branch(second, relu), more, conv("c"));
}

TEST(Keras1Merge, OfModelsBeginsASequentialModel) {
  const LoadedModel model = load(merge_of_two("sum"));
  std::vector<std::string> names;
  for (const ModelLayer& layer : model.spec.layers) names.push_back(layer.name);
  EXPECT_THAT(names, ElementsAre("a_input", "a", "b_input", "b", "r", "m", "c"));
  EXPECT_EQ(model.spec.inputs.size(), 2U);
  EXPECT_THAT(model.spec.given_input_names, ElementsAre("a_input", "b_input"));
  EXPECT_EQ(std::get<MergeOp>(model.spec.layers[5].op).kind, MergeKind::kAdd);
  std::vector<std::vector<int>> inputs;
  for (const ModelNode& node : model.spec.nodes) inputs.push_back(node.inputs);
  // By the order in which calls are ready: both inputs first among equals of their layers.
  ASSERT_EQ(inputs.size(), 7U);
  EXPECT_EQ(inputs[5].size(), 2U);
  EXPECT_THAT(inputs[6], ElementsAre(5));
  EXPECT_EQ(std::get<ConcatenateOp>(load(merge_of_two("concat")).spec.layers[5].op).axis, 1);
  EXPECT_EQ(std::get<MergeOp>(load(merge_of_two("max")).spec.layers[5].op).kind, MergeKind::kMaximum);
}

TEST(Keras1Merge, InsideABranch) {
  std::string inner = merge_of_two("mul", "d");
  for (const auto& [from, to] : {std::pair("\"a\"", "\"e\""), std::pair("\"r\"", "\"s\""),
                                 std::pair("\"m\"", "\"n\""), std::pair("\"c\"", "\"f\"")})
    inner.replace(inner.find(from), std::string_view(from).size(), to);
  const LoadedModel model = load(merge_of_two("concat", "b", "," + inner));
  EXPECT_THAT(model.spec.given_input_names, ElementsAre("a_input", "b_input", "e_input", "d_input"));
}

TEST(Keras1Merge, ThatIsNoneIsSaid) {
  EXPECT_THAT(message(merge_of_two("dot")), HasSubstr("must be one of 'sum', 'mul', 'concat', 'ave', 'max'"));
  EXPECT_THAT(message(merge_of_two("sum", "a")), HasSubstr("branches that share layers"));
  EXPECT_THAT(message(merge_of_two("sum", "b", "," + conv("z"))), HasSubstr("joins a layer 'Conv1D'"));
}

TEST(Keras1Names, InWrappersAndNestedModelsWhateverTheVersion) {
  const auto wrapped = [](const char* name) {
    return fmt::format(
        R"({{"class_name":"TimeDistributed","config":{{"name":"{}","layer":{{"class_name":"Dense",
            "config":{{"name":"d","output_dim":2}}}}}}}})",
        name);
  };
  for (const char* version : {R"(,"keras_version":"1.2.2")", R"(,"keras_version":"2.2.4")", ""}) {
    const LoadedModel model = load(fmt::format(
        R"({{"class_name":"Sequential","config":[{},{},{{"class_name":"Sequential","config":[{},{}]}}]{}}})",
        kInput, wrapped("outer"), kInput, wrapped("inner"), version));
    ASSERT_EQ(model.spec.layers.size(), 3U);
    for (const std::size_t i : {1U, 2U}) EXPECT_EQ(std::get<LayerSpec>(model.spec.layers[i].op).filters, 2);
    EXPECT_THAT(model.notes, ElementsAre());
  }
}

TEST(Keras1Names, OfEveryLayer) {
  const std::string layers =
      R"({"class_name":"AtrousConvolution1D","config":{"name":"a","nb_filter":4,"filter_length":5,"atrous_rate":2,
          "border_mode":"same","bias":false,"init":"he_normal","W_regularizer":{"name":"L2"},"b_constraint":null,
          "activity_regularizer":{"name":"ActivityRegularizer","l1":0.0},"input_length":8}},
         {"class_name":"AveragePooling1D","config":{"name":"p","pool_length":3,"stride":2,"border_mode":"same"}},
         {"class_name":"UpSampling1D","config":{"name":"u","length":3}},
         {"class_name":"TimeDistributedDense","config":{"name":"d","output_dim":7}})";
  const LoadedModel model = load(with_input(layers, ""));
  const auto& conv = std::get<LayerSpec>(model.spec.layers[1].op);
  EXPECT_EQ(conv.filters, 4);
  EXPECT_EQ(conv.kernel_size, 5);
  EXPECT_EQ(conv.dilation_rate, 2);
  EXPECT_EQ(conv.padding, Padding::kSame);
  EXPECT_FALSE(conv.use_bias);
  EXPECT_EQ(conv.kernel_initializer.class_name, "HeNormal");
  const auto& pool = std::get<PoolOp>(model.spec.layers[2].op);
  EXPECT_EQ(pool.pool_size, 3);
  EXPECT_EQ(pool.strides, 2);
  EXPECT_EQ(pool.padding, Padding::kSame);
  EXPECT_EQ(std::get<UpSamplingOp>(model.spec.layers[3].op).size, 3);
  EXPECT_EQ(std::get<LayerSpec>(model.spec.layers[4].op).filters, 7);
  EXPECT_THAT(model.notes, ElementsAre());
  // One layer alone, and an initializer that nobody has today.
  const auto layer = parse_layer(
      R"({"class_name":"Convolution1D","config":{"nb_filter":2,"filter_length":3,"subsample_length":4,"init":"odd"}})");
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(layer->spec.strides, 4);
}

TEST(DtypePolicies, OfFloatsAreComputedInFloat32) {
  for (const char* policy :
       {R"("mixed_float16")", R"({"class_name":"Policy","config":{"name":"mixed_float16"}})",
        R"({"module":"keras","class_name":"DTypePolicy","config":{"name":"mixed_float16"}})"}) {
    const std::string dtype = fmt::format(R"(,"dtype":{})", policy);
    const LoadedModel model = load(with_input(conv("a", dtype) + "," + conv("b", dtype) + "," +
                                              R"({"class_name":"ReLU","config":{"name":"r")" + dtype + "}}"));
    EXPECT_THAT(model.notes,
                ElementsAre("float32 stands in for the dtype policy mixed_float16: weights are converted "
                            "to it and all is computed in it (3 layers)."));
    EXPECT_EQ(std::get<LayerSpec>(model.spec.layers[1].op).dtype, "float32");
  }
  for (const char* policy : {"float16", "bfloat16", "float64", "mixed_bfloat16"})
    EXPECT_EQ(load(with_input(conv("a", fmt::format(R"(,"dtype":"{}")", policy)))).notes.size(), 1U)
        << policy;
  EXPECT_THAT(load(with_input(conv("a", R"(,"dtype":"float32")"))).notes, ElementsAre());
  const auto layer = parse_layer(
      R"({"class_name":"Dense","config":{"units":2,"dtype":{"class_name":"Policy","config":{"name":"bfloat16"}}}})");
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_THAT(layer->notes, ElementsAre(HasSubstr("policy bfloat16")));
}

TEST(DtypePolicies, OfOtherNumbersAreRefusedByTheirWholeNames) {
  const std::string quantized =
      R"(,"dtype":{"module":"keras.dtype_policies","class_name":"QuantizedDTypePolicy",
          "config":{"mode":"int8","source_name":"float32"},"registered_name":null})";
  EXPECT_EQ(
      message(with_input(conv("a", quantized))),
      "Layer 'a': `dtype` 'int8_from_float32' is not supported; layers compute in float32, and weights can't "
      "be quantized: save the model before `quantize` is called.");
  EXPECT_THAT(
      message(with_input(R"({"class_name":"ReLU","config":{"name":"r","dtype":"float8_from_bfloat16"}})")),
      HasSubstr("'float8_from_bfloat16'"));
  EXPECT_THAT(message(with_input(conv("a", R"(,"dtype":"string")"))), HasSubstr("`dtype` 'string'"));
}

std::string layer(const std::string& class_name, const std::string& name, const std::string& config = {}) {
  return fmt::format(R"({{"class_name":"{}","config":{{"name":"{}"{}}}}})", class_name, name, config);
}

TEST(MissingLayers, AreAllNamedWhateverStandsInTheCalls) {
  const std::string text = functional(
      call("TFOpLambda", "plus", R"([["x",0,0,{"y":["x",0,0],"name":null}]])",
           R"(,"function":"__operators__.add")") +
          "," + call("LSTM", "l", R"([[["plus",0,0,{}]]])") + "," +
          call("TimeDistributed", "td", R"([[["l",0,0,{}]]])",
               R"(,"layer":{"class_name":"LSTM","config":{"units":2}})") +
          "," + call("Lambda", "mean", R"([[["td",0,0,{}]]])") + "," +
          call("TFOpLambda", "expand", R"([["mean",0,0,{"axis":1}]])", R"(,"function":"expand_dims")") + "," +
          call("BatchNormalization", "bn", R"([[["expand",0,0,{}]]])", R"(,"renorm":true)"),
      R"(["bn",0,0])");
  const std::string said = message(text);
  EXPECT_THAT(said, HasSubstr("LSTM ('l')"));
  EXPECT_THAT(said, HasSubstr("TFOpLambda __operators__.add ('plus')"));
  EXPECT_THAT(said, HasSubstr("TFOpLambda expand_dims ('expand')"));
  EXPECT_THAT(said, HasSubstr("Lambda ('mean')"));
  EXPECT_THAT(said,
              HasSubstr("In the place of __operators__.add use the layer Add where both have equally many"));
  EXPECT_THAT(said, HasSubstr("In the place of expand_dims use the layer Reshape, "));
  EXPECT_THAT(said, HasSubstr("GlobalAveragePooling1D"));
  EXPECT_THAT(said, HasSubstr("Layer 'td': TimeDistributed"));
  EXPECT_THAT(said, HasSubstr("Layer 'bn': `renorm` is not supported"));
}

// The nodes are those that tf_keras writes.
TEST(MissingLayers, FunctionsAreReplacedByWhatComputesTheSame) {
  struct {
    const char* function;
    const char* nodes;
    const char* said;  // empty: no layer computes the same
  } const cases[] = {
      {"__operators__.add", R"([["x",0,0,{"y":1.0,"name":null}]])", "use the layer Rescaling(1, offset)"},
      {"math.add", R"([["x",0,0,{"y":[1.0,2.0,3.0]}]])", "use the layer Rescaling(1, offset)"},
      {"math.add", R"([["x",0,0,{"y":["x",0,0]}]])", "the layer Add where both have equally many axes"},
      {"math.subtract", R"([["_CONSTANT_VALUE",-1,1.0,{"y":["x",0,0]}]])",
       "use the layer Rescaling(-1, offset)"},
      {"math.subtract", R"([["x",0,0,{"y":1}]])", "use the layer Rescaling(1, -constant)"},
      {"math.multiply", R"([["x",0,0,{"y":2}]])", "use the layer Rescaling(constant)"},
      {"math.truediv", R"([["x",0,0,{"y":2.0}]])", "use the layer Rescaling(1 / constant)"},
      {"math.truediv", R"([["_CONSTANT_VALUE",-1,1.0,{"y":["x",0,0]}]])", ""},
      {"math.maximum", R"([["x",0,0,{"y":0.0}]])", "use the layer ReLU."},
      {"math.maximum", R"([["x",0,0,{"y":2.0}]])",
       "Rescaling(1, -constant), ReLU() and Rescaling(1, constant)"},
      {"clip_by_value", R"([["x",0,0,{"clip_value_min":-1.0,"clip_value_max":1.0}]])", "ReLU(high - low)"},
      {"math.reduce_mean", R"([["x",0,0,{"axis":1}]])", "use the layer GlobalAveragePooling1D where"},
      {"math.reduce_mean", R"([["x",0,0,{"axis":[1],"keepdims":true}]])", "(keepdims=True)"},
      {"math.reduce_mean", R"([["x",0,0,{"axis":-1}]])", "Permute((2, 1)) and GlobalAveragePooling1D where"},
      {"math.reduce_max", R"([["x",0,0,{"axis":[1,2]}]])", "Reshape((-1, 1)) and GlobalMaxPooling1D for all"},
      {"math.reduce_mean", R"([["x",0,0,{}]])", "math.reduce_mean as it is called here mixes the samples"},
      {"concat", R"([[["x",0,0,{"axis":-1}],["x",0,0,{"axis":-1}]]])", "use the layer Concatenate."},
      {"concat", R"([[["x",0,0,{"axis":0}],["x",0,0,{"axis":0}]]])", "mixes the samples"},
      {"expand_dims", R"([["x",0,0,{"axis":0}]])", "mixes the samples"},
      {"compat.v1.transpose", R"([["x",0,0,{"perm":[0,2,1]}]])", "use the layer Permute."},
      {"compat.v1.transpose", R"([["x",0,0,{"perm":[1,0,2]}]])", "mixes the samples"},
      {"compat.v1.pad", R"([["x",0,0,{"paddings":[[0,0],[2,1],[0,0]],"mode":"REFLECT"}]])", ""},
      {"cast", R"([["x",0,0,{"dtype":"float32"}]])", "use nothing: everything is float32"},
      {"cast", R"([["x",0,0,{"dtype":"float16"}]])", ""},
      {"nn.relu", R"([["x",0,0,{"name":null}]])", "use the layer ReLU."},
      {"nn.gelu", R"([["x",0,0,{"approximate":true}]])", ""},
  };
  for (const auto& c : cases) {
    const std::string said = message(functional(
        call("TFOpLambda", "f", c.nodes, fmt::format(R"(,"function":"{}")", c.function)), R"(["f",0,0])"));
    EXPECT_THAT(said, HasSubstr(fmt::format("TFOpLambda {} ('f').", c.function)));
    if (*c.said == '\0') {
      EXPECT_THAT(said, testing::EndsWith("('f').")) << c.nodes;
    } else {
      EXPECT_THAT(said, HasSubstr(c.said)) << c.nodes;
    }
  }
  // Two of a kind that are called differently.
  const std::string two = message(
      functional(call("TFOpLambda", "f", R"([["x",0,0,{"y":1.0}]])", R"(,"function":"math.add")") + "," +
                     call("TFOpLambda", "g", R"([["x",0,0,{"y":["f",0,0]}]])", R"(,"function":"math.add")"),
                 R"(["g",0,0])"));
  EXPECT_THAT(two, testing::AllOf(HasSubstr("the layer Rescaling"), HasSubstr("the layer Add")));
}

TEST(MissingLayers, SlicesOfSamplesAreNotOfSteps) {
  const auto said = [](const char* slices) {
    return message(
        functional(call("SlicingOpLambda", "s", fmt::format(R"([["x",0,0,{{"slice_spec":{}}}]])", slices),
                        R"(,"function":"__operators__.getitem")"),
                   R"(["s",0,0])"));
  };
  const std::string whole = R"({"start":null,"stop":null,"step":null})";
  EXPECT_THAT(said(fmt::format("[{},{{\"start\":2,\"stop\":-2,\"step\":null}}]", whole).c_str()),
              HasSubstr("Cropping1D for steps"));
  EXPECT_THAT(said("[{\"class_name\":\"__ellipsis__\"},0]"), HasSubstr("Cropping1D for steps"));
  EXPECT_THAT(said("0"), HasSubstr("mixes the samples"));
  EXPECT_THAT(said("[{\"start\":1,\"stop\":null,\"step\":null}]"), HasSubstr("mixes the samples"));
}

TEST(MissingLayers, AListHasAnEnd) {
  std::string layers;
  for (int i = 0; i < 3000; ++i)
    layers += (i == 0 ? "" : ",") + layer(i % 3 == 0   ? "GRU"
                                          : i % 3 == 1 ? fmt::format("Own{}", i)
                                                       : "LSTM",
                                          fmt::format("{}{}", i, std::string(200, 'n')));
  const std::string said = message(with_input(layers));
  EXPECT_THAT(said, HasSubstr("and 997 more"));
  EXPECT_THAT(said, HasSubstr("other kinds"));
  EXPECT_LT(said.size(), 5000U);
}

}  // namespace
}  // namespace convsmith
