// Figures as a web page, and compare's.
#include "cli/io/html_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/measure/compare.hpp"
#include "tests/cli/call_cli.hpp"

namespace convsmith::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kEvil = "<script>alert(\"1\")</script> & 'x'\n";
constexpr const char* kTame = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; ";

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(HtmlReport, EscapesMarkup) {
  EXPECT_EQ(escape_markup(kEvil), kTame);
  EXPECT_EQ(escape_markup("\xc3\xa9"), "\xc3\xa9");
}

TEST(HtmlReport, EscapesAllTextThatComesIn) {
  const std::string page = html_page(
      kEvil, {html_heading(kEvil), html_paragraph(kEvil), html_table({kEvil}, {{kEvil}}),
              svg_bars({kEvil, {{kEvil, 1, kEvil, kEvil, kEvil}}, {}}),
              svg_roofline({kEvil, 10, {{kEvil, 5}}, {{kEvil, 1, 1, kEvil, kEvil}}, {{kEvil, kEvil}}})});
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  // Page (title and heading), heading, paragraph, two cells; bars: five; roofline: title, roof, dot
  // thrice, legend twice.
  EXPECT_EQ(count(page, kTame), 2U + 1 + 1 + 2 + 5 + 1 + 1 + 3 + 2);
}

TEST(HtmlReport, DrawsBarsInProportion) {
  const std::string svg = svg_bars({"", {{"a", 50, "", "", "red"}, {"b", 100, "", "", "red"}}, {}});
  const auto width = [&](size_t from) {
    const size_t at = svg.find("width='", svg.find("<rect", from)) + 7;
    return std::strtod(svg.c_str() + at, nullptr);
  };
  EXPECT_GT(width(0), 100);
  EXPECT_NEAR(2 * width(0), width(svg.find("<rect") + 1), 0.2);
}

TEST(HtmlReport, LeavesOutWhatHasNoPlace) {
  const std::string bars =
      svg_bars({"", {{"a", NAN, "", "", ""}, {"b", -1, "", "", ""}, {"c", 0, "", "", ""}}, {}});
  EXPECT_EQ(count(bars, "width='0.0'"), 3U);
  const std::string roofline =
      svg_roofline({"", 100, {}, {{"a", 0, 1, "", ""}, {"b", 1, NAN, "", ""}, {"c", 2, 50, "", ""}}, {}});
  EXPECT_EQ(count(roofline, "<circle"), 1U);
  for (const std::string& svg : {bars, roofline, svg_roofline({})}) {
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
}

TEST(HtmlReport, ComparisonHasARowForEachBackEnd) {
  Comparison comparison{"Conv1D(2, 3) <b>", 1, 10, 1, "a CPU", {}, {"A note."}};
  CompareRow row;
  row.back_end = {Backend::kXbyak, Isa::kAvx2};
  row.operations = 1e6;
  row.timing = {10, 12, 15, 200};
  row.bit_equal = true;
  comparison.rows = {row, row};
  const std::string page = as_html(comparison);
  EXPECT_THAT(page, HasSubstr("Conv1D(2, 3) &lt;b&gt;"));
  EXPECT_EQ(count(page, "<svg"), 2U);
  EXPECT_EQ(count(page, "<td>50.0 %</td>"), 2U);  // 100 of 200 GF/s
  EXPECT_THAT(page, HasSubstr("A note."));
  // Of a vector program nobody knows how many operations it does.
  comparison.rows[0].operations = 0;
  EXPECT_EQ(count(as_html(comparison), "<svg"), 1U);
}

TEST(HtmlReport, CompareWritesAPage) {
  const cli_test::TemporaryFolder folder;
  const std::vector<std::string> command = {"compare", "Conv1D(4, 3, input_shape=(20, 5))", "--backend",
                                            "interp", "--html"};
  auto words = command;
  words.push_back(folder / "report.html");
  const cli_test::Outcome done = cli_test::call(words);
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const std::string page = cli_test::TemporaryFolder::read(folder / "report.html");
  EXPECT_THAT(page, StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(page, HasSubstr("interp"));
  EXPECT_THAT(page, HasSubstr("</html>"));

  words.back() = folder / "report.txt";
  const cli_test::Outcome refused = cli_test::call(words);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("its name must end with .html."));
  words.back() = folder / "missing/report.html";
  EXPECT_EQ(cli_test::call(words).exit_code, 1);
}

}  // namespace
}  // namespace convsmith::cli
