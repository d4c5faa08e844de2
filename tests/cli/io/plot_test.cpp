// Pictures of signals.
#include "cli/io/plot.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Plot, ASingleStepIsDrawnAsBars) {
  const Tensor answer{{1, 4}, {0.1F, 0.2F, 0.65F, 0.05F}};
  const std::string svg =
      svg_text({.title = "", .panels = {{"output", {{"y", &answer, "blue"}}, "class", {}}}, .rates = {0}});
  EXPECT_EQ(count_of(svg, "fill='blue'"), 4U);
  for (const char* number : {">0<", ">1<", ">2<", ">3<", ">0.65<", ">class<"})
    EXPECT_THAT(svg, HasSubstr(number));
  EXPECT_EQ(count_of(svg, ">steps<"), 0U);
  // Beside what was expected, with names, and with what is no number.
  const Tensor odd{
      {1, 4}, {0.1F, std::numeric_limits<float>::quiet_NaN(), -0.5F, std::numeric_limits<float>::infinity()}};
  const std::string both = svg_text(
      {.title = "",
       .panels =
           {{"output", {{"e", &odd, "gray"}, {"y", &answer, "blue"}}, "class", {"cat", "dog", "cow", "a<b"}}},
       .rates = {0}});
  EXPECT_EQ(count_of(both, "fill='gray'"), 4U);
  EXPECT_EQ(count_of(both, "height='nan"), 0U);
  EXPECT_THAT(both, HasSubstr(">dog<"));
  EXPECT_THAT(both, HasSubstr("a&lt;b"));
}

// However many there are: a bar for each, or for each few, whose caption says so and which loses no peak.
TEST(Plot, AnyNumberOfClassesIsDrawnAsBars) {
  for (const auto& [classes, bars, each] :
       {std::array{65, 65, 1}, std::array{256, 256, 1}, std::array{257, 129, 2}, std::array{1000, 250, 4},
        std::array{100000, 256, 391}}) {
    Tensor answer{{1, classes}, std::vector<float>(static_cast<size_t>(classes), 0.0F)};
    answer.data[static_cast<size_t>(classes) - 1] = -4;
    answer.data[10] = std::numeric_limits<float>::quiet_NaN();
    const std::string svg =
        svg_text({.title = "", .panels = {{"output", {{"y", &answer, "blue"}}, "class", {}}}, .rates = {0}});
    EXPECT_EQ(count_of(svg, "fill='blue'"), static_cast<size_t>(bars)) << classes;
    EXPECT_EQ(count_of(svg, "height='0.0' fill='blue'"), static_cast<size_t>(bars - 1)) << classes;
    EXPECT_EQ(count_of(svg, ">nan<"), 1U) << classes;
    EXPECT_EQ(count_of(svg, "channels"), 0U) << classes;
    EXPECT_EQ(count_of(svg, fmt::format("of {}; each bar shows, of {} neighbours", classes, each)),
              each == 1 ? 0U : 1U);
    EXPECT_LT(svg.size(), 200000U);
  }
}

TEST(Plot, ChannelsHaveColorsAndNames) {
  const Tensor six = counting({50, 6});
  const std::string svg = svg_text(
      {.title = "",
       .panels = {{"input", {{"x", &six, "red"}}, "channel", {"I", "II", "III", "aVR", "aVL", "aVF"}}},
       .rates = {0}});
  std::vector<std::string> colors;
  for (size_t at = svg.find("<g stroke='"); at != std::string::npos; at = svg.find("<g stroke='", at + 1))
    colors.push_back(svg.substr(at, 20));
  EXPECT_EQ(colors.size(), 6U);
  std::sort(colors.begin(), colors.end());
  EXPECT_EQ(std::unique(colors.begin(), colors.end()) - colors.begin(), 6);
  for (const char* name : {">I<", ">III<", ">aVF<"}) EXPECT_THAT(svg, HasSubstr(name));
  const Tensor many = counting({50, 20});
  EXPECT_THAT(svg_text({.title = "", .panels = {{"input", {{"x", &many, "red"}}}}, .rates = {0}}),
              HasSubstr("20 channels, red to violet"));
}

}  // namespace
}  // namespace convsmith::cli
