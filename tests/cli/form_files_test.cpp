// One file for each form that a nest can have: its text, the program that it is lowered to, and that both give the
// right bits on all back ends. tests/data/forms/NAME.nest stands beside NAME.vir; with CONVSMITH_BLESS=1 both are
// written anew, and a look at the difference says what a change of the lowering did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/cli/call_cli.hpp"

namespace convsmith::cli_test {
namespace {

std::vector<std::string> forms() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(places::test_data("forms"))) {
    if (file.path().extension() == ".nest") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class FormFiles : public testing::TestWithParam<std::string> {
 protected:
  static std::string path(const char* extension) {
    return places::test_data("forms/" + GetParam() + extension);
  }
};

TEST_P(FormFiles, AreWhatIsCompiled) {
  for (const char* stage : {"nest", "vir"}) {
    const Outcome outcome = call({"explain", path(".nest"), "--stage", stage});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const std::string file = path(stage == std::string("nest") ? ".nest" : ".vir");
    if (std::getenv("CONVSMITH_BLESS") != nullptr) {
      std::ofstream(file) << outcome.out;
    } else {
      EXPECT_EQ(TemporaryFolder::read(file), outcome.out);
    }
  }
}

TEST_P(FormFiles, GiveTheSameBitsEverywhere) {
  const Outcome nest = call({"verify", path(".nest"), "--random", "12"});
  EXPECT_EQ(nest.exit_code, 0) << nest.out << nest.err;
  const Outcome program = call({"verify", path(".vir")});
  EXPECT_EQ(program.exit_code, 0) << program.out << program.err;
}

INSTANTIATE_TEST_SUITE_P(All, FormFiles, testing::ValuesIn(forms()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace convsmith::cli_test
