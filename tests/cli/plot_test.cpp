// Pictures of signals.
#include "cli/plot.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace convsmith::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Tensor counting(std::vector<int64_t> shape) {
  Tensor tensor{shape, std::vector<float>(static_cast<size_t>(shape[0] * shape[1]))};
  for (size_t i = 0; i < tensor.data.size(); ++i) tensor.data[i] = static_cast<float>(i) - 2.5F;
  return tensor;
}

TEST(Plot, IsSmallAndWhole) {
  for (const int64_t channels : {1, 3, 64, 300}) {
    const Tensor signal = counting({20000 / channels + 1, channels});
    Tensor odd = signal;
    odd.data[0] = std::numeric_limits<float>::quiet_NaN();
    odd.data[1] = std::numeric_limits<float>::infinity();
    const std::string svg =
        svg_text({.title = "a < b & c",
                  .panels = {{"input", {{"x", &odd, "red"}}},
                             {"output", {{"e", &signal, "gray"}, {"y", &signal, "blue"}}}},
                  .rates = {0, 360}});
    EXPECT_LT(svg.size(), 200000U) << channels;
    EXPECT_THAT(svg, StartsWith("<svg xmlns="));
    EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
    EXPECT_THAT(svg, HasSubstr("seconds"));
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
  }
  // A spike of one step is seen however long the signal.
  Tensor spike{{1000000, 1}, std::vector<float>(1000000, 0.0F)};
  spike.data[123456] = 1;
  const std::string svg = svg_text({.title = "", .panels = {{"", {{"x", &spike, "red"}}}}, .rates = {0}});
  EXPECT_THAT(svg, HasSubstr(fmt::format("{:.1f} ", 72 + 868 * 0.1234565)));
}

}  // namespace
}  // namespace convsmith::cli
