// verify and compare as a user meets them: layers of all kinds, models, exit codes, JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/call_cli.hpp"
#include "tests/support/places.hpp"

namespace convsmith::cli_test {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string model_file(const std::string& name) {
  return places::test_data("models/" + name + "/model.keras");
}

TEST(VerifyCommand, ChecksRandomLayersAndModels) {
  const Outcome outcome = call({"verify", "--random", "80", "--seed", "3", "--backend", "interp", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["cases"], 80);
  EXPECT_EQ(json["models"], 1);
  EXPECT_EQ(json["failures"], Json::array());
  EXPECT_GT(json["coverage"]["kind"]["SeparableConv1D"], 0);
}

TEST(VerifyCommand, RepeatsARandomModel) {
  const Outcome outcome = call(
      {"verify", "--random-model", "31", "--batch", "2", "--steps", "40", "--data", "floats", "--seed", "9"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1 cases of 0 distinct layers and 1 models"));
}

TEST(VerifyCommand, ChecksEveryKindOfLayer) {
  for (const char* text :
       {"Conv1DTranspose(5, 4, strides=3, padding='same', activation='tanh')",
        "DepthwiseConv1D(3, depth_multiplier=2)", "SeparableConv1D(4, 3, padding='causal')",
        "Dense(6, activation='softmax')", "Conv1D(8, 2, activation='glu')"}) {
    const Outcome outcome = call({"verify", text, "--input-shape", "None,6", "--random", "8", "--guard"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("8 cases"));
  }
}

TEST(VerifyCommand, ChecksAModelFile) {
  const Outcome outcome = call({"verify", model_file("inception_k3"), "--random", "4", "--guard"});
  if (outcome.err.find("CONVSMITH_MODELS") != std::string::npos) GTEST_SKIP() << "built without models";
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("0 failures"));
  const Outcome refused = call({"verify", model_file("inception_k3"), "--schedule", "cut o"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--schedule"));
  const Outcome missing = call({"verify", "missing.keras"});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_THAT(missing.err, HasSubstr("missing.keras"));
}

TEST(VerifyCommand, RefusesStepsThatAModelNeverTakes) {
  const Outcome outcome =
      call({"verify", model_file("reshape_mlp_k3"), "--steps", "30", "--random", "1", "--backend", "interp"});
  if (outcome.err.find("CONVSMITH_MODELS") != std::string::npos) GTEST_SKIP() << "built without models";
  EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("--steps is 30"));
}

TEST(CompareCommand, HasARowForEachBackEnd) {
  for (const std::string& spec :
       {std::string("Conv1DTranspose(5, 4, strides=3, input_shape=(64, 6))"), model_file("autoencoder_k3")}) {
    const Outcome outcome = call({"compare", spec, "--batch", "2", "--backend", "interp", "--json"});
    if (outcome.err.find("CONVSMITH_MODELS") != std::string::npos) GTEST_SKIP() << "built without models";
    ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    const Json json = Json::parse(outcome.out);
    EXPECT_EQ(json["batch"], 2);
    ASSERT_EQ(json["rows"].size(), 1U);
    for (const char* field : {"backend", "isa", "compile_us", "cache_hit_us", "code_bytes", "min_us",
                              "p50_us", "p99_us", "gflops", "peak_share", "bit_equal", "max_ulp"}) {
      EXPECT_TRUE(json["rows"][0].contains(field)) << field;
    }
    EXPECT_EQ(json["rows"][0]["bit_equal"], true);
    EXPECT_GT(json["rows"][0]["gflops"], 0);
  }
}

}  // namespace
}  // namespace convsmith::cli_test
