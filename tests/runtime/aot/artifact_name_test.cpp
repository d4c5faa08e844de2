#include "runtime/aot/artifact_name.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace convsmith {
namespace {

using testing::HasSubstr;

TEST(ArtifactName, AnyTextGivesALegalOneThatResemblesIt) {
  const std::pair<const char*, const char*> cases[] = {
      {"ecg", "ecg"},
      {"my-model", "my_model"},
      {"v1.2 (final)", "v1_2_final"},
      {"2fast", "model_2fast"},
      {"größe", "gr_e"},
      {"模型", "model"},
      {"", "model"},
      {"..", "model"},
      {"__x__", "x"},
      {"a__b", "a_b"},
      {"int", "int"},  // int_run is no keyword
      {"malloc", "model_malloc"},
      {"convsmith_x", "model_convsmith_x"},
  };
  for (const auto& [text, name] : cases) {
    EXPECT_EQ(artifact_name_for(text), name) << text;
    EXPECT_TRUE(check_artifact_name(artifact_name_for(text))) << text;
  }
  const std::string longest = artifact_name_for(std::string(100, '7'));
  EXPECT_TRUE(check_artifact_name(longest)) << longest;
}

TEST(ArtifactName, WhatIsRefusedSaysWhatWouldDo) {
  for (const char* name : {"", "my-model", "2x", "größe", "_x", "x_", "a__b", "malloc", "svc", "convsmith",
                           "convsmith_model", "a\x1b[1m"}) {
    const auto ok = check_artifact_name(name);
    ASSERT_FALSE(ok) << name;
    EXPECT_THAT(ok.error().message, HasSubstr("'" + artifact_name_for(name) + "' would do.")) << name;
    EXPECT_EQ(ok.error().message.find('\x1b'), std::string::npos);
  }
  EXPECT_FALSE(check_artifact_name(std::string(65, 'a')));
  EXPECT_TRUE(check_artifact_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace convsmith
