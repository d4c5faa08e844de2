// Figures as a web page: one self-contained file with bars, rooflines and tables, readable without scripts
// and without a network. All text that comes in is plain and is escaped here. Used by compare and by the
// benchmark of peers; run's pictures of signals (plot.hpp) share the escaping.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith::cli {

// Text as HTML and SVG want it between tags and in attributes; control characters become spaces.
std::string escape_markup(std::string_view text);

// The i-th color of a palette that goes round.
std::string series_color(size_t i);

struct Bar {
  std::string label;
  double value = 0;   // below 0 or not finite: no bar
  std::string words;  // the value as it stands behind the bar
  std::string hover;
  std::string color;  // as CSS writes it
};
// Bars from 0 to the right, one below the other.
struct BarChart {
  std::string title;
  std::vector<Bar> bars;
  std::optional<double> mark;  // a line across all bars
};

struct Roof {
  std::string label;
  double bandwidth = 0;  // GB/s: the slope
};
struct Dot {
  std::string label;
  double x = 0;  // operations per byte
  double y = 0;  // GF/s
  std::string hover;
  std::string color;
};
// What is reached over how often each byte is used, both axes logarithmic, below the machine's limits. Dots
// that are not above 0 on both axes are left out.
struct Roofline {
  std::string title;
  double peak = 0;  // GF/s
  std::vector<Roof> roofs;
  std::vector<Dot> dots;
  std::vector<std::pair<std::string, std::string>> legend;  // name and color
};

// The parts of a page.
std::string svg_bars(const BarChart& chart);
std::string svg_roofline(const Roofline& roofline);
std::string html_heading(std::string_view text);
std::string html_paragraph(std::string_view text);
// The first column is left-aligned, the others right.
std::string html_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows);
std::string html_page(std::string_view title, const std::vector<std::string>& parts);

}  // namespace convsmith::cli
