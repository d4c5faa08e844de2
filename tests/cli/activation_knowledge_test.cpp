// What must know every activation: its name, both references, the list of measured ones, the documentation.
// A new one fails here until all of them do (docs/HACKING.md lists the places).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "cli/verify/reference.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "scripts/vmath_ulp_reference.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/places.hpp"

namespace convsmith::cli {
namespace {

using cli_test::TemporaryFolder;

std::string document(const std::string& name) {
  return TemporaryFolder::read(places::test_source("../" + name));
}

class ActivationKnowledge : public testing::TestWithParam<ActivationKind> {
 protected:
  // With its default parameters; some where it has none, as threshold. Both formulas of gelu and of
  // hard_sigmoid have one name.
  Activation activation() const {
    const ActivationKind kind = GetParam();
    const auto found = find_activation(keras_name_of(kind), Dialect::kCall, Rules::kAny);
    return found && found->kind == kind ? *found : Activation{kind, {0.5F, -1.0F}};
  }
};

std::vector<ActivationKind> all_kinds() {
  std::vector<ActivationKind> kinds;
  for (int kind = 0; kind <= static_cast<int>(ActivationKind::kGlu); ++kind)
    kinds.push_back(static_cast<ActivationKind>(kind));
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ActivationKnowledge, testing::ValuesIn(all_kinds()));

TEST_P(ActivationKnowledge, HasANameThatTheReadmeLists) {
  const std::string name(keras_name_of(GetParam()));
  ASSERT_FALSE(name.empty());
  EXPECT_NE(document("README.md").find(name), std::string::npos) << name;
}

TEST_P(ActivationKnowledge, IsInBothReferences) {
  if (!is_elementwise(GetParam())) return;
  for (const double x : {-3.0, -0.75, 0.0, 0.25, 2.5}) {
    const double y = reference_activation(activation(), x);
    EXPECT_FALSE(std::isnan(y)) << keras_name_of(GetParam()) << " of " << x
                                << " in cli/verify/reference_activation";
    EXPECT_NEAR(reference::evaluate(activation(), x), y, 1e-12) << keras_name_of(GetParam()) << " of " << x;
  }
}

TEST_P(ActivationKnowledge, IsMeasuredAndDocumented) {
  const std::string text = document("docs/activations.md");
  if (!is_elementwise(GetParam())) {
    EXPECT_NE(text.find(std::string(keras_name_of(GetParam()))), std::string::npos);
    return;
  }
  size_t rows = 0;
  for (const reference::Case& measured : reference::cases()) {
    if (measured.activation.kind != GetParam()) continue;
    ++rows;
    EXPECT_NE(text.find("\n| " + measured.name + " | "), std::string::npos)
        << "docs/activations.md has no row " << measured.name;
  }
  EXPECT_GT(rows, 0U) << "scripts/vmath_ulp_reference.hpp measures no " << keras_name_of(GetParam());
}

}  // namespace
}  // namespace convsmith::cli
