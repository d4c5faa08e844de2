// Inputs and outputs are known by their names, in the order in which Keras takes and gives them.
#include <gtest/gtest.h>

#include <array>

#include "convsmith/model.hpp"
#include "frontend/models/load_model.hpp"
#include "tests/frontend/models/json_models.hpp"

namespace convsmith::test {
namespace {

using json_models::call;
using Names = std::vector<std::string>;

// Inputs 'zz' and 'aa', the layers given, and what the file says of both ends.
Model model_of(const std::string& layers, const std::string& inputs, const std::string& outputs) {
  const std::string shape = R"(,"batch_input_shape":[null,null,2])";
  const std::string text = fmt::format(
      R"({{"class_name":"Functional","config":{{"name":"net","layers":[{},{},{}],"input_layers":{},"output_layers":{}}}}})",
      call("InputLayer", "zz", "[]", shape), call("InputLayer", "aa", "[]", shape), layers, inputs, outputs);
  auto loaded = parse_model_json(text);
  EXPECT_TRUE(loaded) << loaded.error().message << "\n" << text;
  return Model(std::make_shared<const ModelSpec>(loaded ? std::move(loaded->spec) : ModelSpec{}));
}

const std::string kSubtract = call("Subtract", "s", R"([[["zz",0,0,{}],["aa",0,0,{}]]])");
const std::string kAdd = call("Add", "t", R"([[["zz",0,0,{}],["aa",0,0,{}]]])");

// The first value of each output, where inputs hold 1, 10, ... in their order.
std::vector<float> run(const Model& model) {
  const auto compiled = compile(model, {.backend = Backend::kInterp});
  if (!compiled) {
    ADD_FAILURE() << compiled.error().message;
    return {};
  }
  EXPECT_EQ(compiled->input_names(), model.input_names());
  EXPECT_EQ(compiled->output_names(), model.output_names());
  std::vector<std::vector<float>> in;
  std::vector<std::vector<float>> out(compiled->output_count(), std::vector<float>(2));
  float value = 1;
  for (size_t i = 0; i < compiled->input_count(); ++i, value *= 10) in.push_back({value, value});
  std::vector<const float*> inputs;
  std::vector<float*> outputs;
  for (const auto& array : in) inputs.push_back(array.data());
  for (auto& array : out) outputs.push_back(array.data());
  const std::vector<int64_t> steps(inputs.size(), 1);
  EXPECT_EQ(compiled->run(inputs, outputs, 1, steps), RunStatus::kOk);
  std::vector<float> first;
  for (const auto& array : out) first.push_back(array[0]);
  return first;
}

TEST(ModelNames, KeysOfDictionariesAreSorted) {
  const Model model = model_of(kSubtract, R"({"zz":["zz",0,0],"aa":["aa",0,0]})", R"(["s",0,0])");
  EXPECT_EQ(model.input_names(), (Names{"aa", "zz"}));
  EXPECT_EQ(model.output_names(), Names{"s"});
  EXPECT_EQ(run(model), std::vector<float>{9});  // zz - aa
}

TEST(ModelNames, ListsKeepTheirOrder) {
  const Model model = model_of(kSubtract, R"([["zz",0,0],["aa",0,0]])", R"([["s",0,0],["zz",0,0]])");
  EXPECT_EQ(model.input_names(), (Names{"zz", "aa"}));
  EXPECT_EQ(model.output_names(), (Names{"s", "zz"}));
  EXPECT_EQ(run(model), (std::vector<float>{-9, 1}));
}

TEST(ModelNames, KeysNameWhatLayersDoNot) {
  const Model model = model_of(kSubtract + "," + kAdd, R"({"x":["zz",0,0],"y":["aa",0,0]})",
                               R"({"difference":["s",0,0],"and":["t",0,0]})");
  EXPECT_EQ(model.input_names(), (Names{"x", "y"}));
  EXPECT_EQ(model.output_names(), (Names{"and", "difference"}));
  EXPECT_EQ(run(model), (std::vector<float>{11, -9}));
}

TEST(ModelNames, ListsWithDictionariesInside) {
  const Model model =
      model_of(kSubtract + "," + kAdd + "," + call("Maximum", "u", R"([[["zz",0,0,{}],["aa",0,0,{}]]])"),
               R"([["zz",0,0],[["aa",0,0]]])", R"([["s",0,0],{"q":["t",0,0],"b":["u",0,0]}])");
  EXPECT_EQ(model.input_names(), (Names{"zz", "aa"}));
  EXPECT_EQ(model.output_names(), (Names{"s", "b", "q"}));
  EXPECT_EQ(run(model), (std::vector<float>{-9, 10, 11}));
}

TEST(ModelNames, NoTwoAreAlike) {
  const Model model = model_of(call("ReLU", "r", R"([[["zz",0,0,{}]],[["aa",0,0,{}]]])"),
                               R"([["zz",0,0],["aa",0,0]])", R"([["r",0,0],["r",1,0],["r",0,0]])");
  EXPECT_EQ(model.output_names(), (Names{"r", "r_1", "r_2"}));
}

// A nested model takes the entries of a dictionary by name, whatever the order of its own inputs.
TEST(ModelNames, NestedModelsAreCalledByName) {
  const std::string shape = R"(,"batch_input_shape":[null,null,2])";
  const std::string tensor =
      R"({{"class_name":"__keras_tensor__","config":{{"shape":[null,null,2],"dtype":"float32","keras_history":["{}",0,0]}}}})";
  const std::string inner = R"("name":"inner","layers":[)" + call("InputLayer", "i", "[]", shape) + "," +
                            call("InputLayer", "b", "[]", shape) + "," +
                            call("Subtract", "s", R"([[["i",0,0,{}],["b",0,0,{}]]])");
  for (const char* ends : {R"([["i",0,0],["b",0,0]])", R"({"i":["i",0,0],"b":["b",0,0]})"}) {
    for (const bool keras3 : {false, true}) {
      const std::string arguments =
          keras3
              ? fmt::format(R"([{{"args":[{{"i":{},"b":{}}}],"kwargs":{{"mask":{{"i":null,"b":null}}}}}}])",
                            fmt::format(fmt::runtime(tensor), "zz"), fmt::format(fmt::runtime(tensor), "aa"))
              : R"([{"i":["zz",0,0,{}],"b":["aa",0,0,{}]}])";
      const Model model = model_of(
          fmt::format(
              R"({{"class_name":"Functional","name":"inner","config":{{{}],"input_layers":{},"output_layers":[["s",0,0]]}},"inbound_nodes":{}}})",
              inner, ends, arguments),
          R"([["zz",0,0],["aa",0,0]])", R"([["inner",0,0]])");
      EXPECT_EQ(run(model), std::vector<float>{-9}) << ends << keras3;
      EXPECT_EQ(model.output_names(), Names{"inner"});
    }
  }
}

}  // namespace
}  // namespace convsmith::test
