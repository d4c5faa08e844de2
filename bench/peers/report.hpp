// A table of measurements for people: on a terminal, as Markdown and as a web page. All three are the same
// sheets of cells. Used by main.
#pragma once

#include <string>
#include <vector>

#include "bench/peers/table.hpp"

namespace convsmith::bench {

struct Sheet {
  std::string title;
  std::string note;  // whole sentences; may be empty
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

// Of positive values; 0 where there are none.
double geometric_mean(const std::vector<double>& values);

// Ours beside every way of every peer, a row for each layer.
Sheet layer_sheet(const Table& table, Layout layout);
// Geometric means: of the best peer's time over ours, of each library's best way, by class.
Sheet mean_sheet(const Table& table, Layout layout);
// The layers on which a peer is more than 3 % ahead, the worst first.
Sheet behind_sheet(const Table& table, Layout layout);
// What making a layer callable costs each library.
Sheet create_sheet(const Table& table);
// Figures that were thrown away, and why.
Sheet problem_sheet(const Table& table);

// By class: the tenth percentile, the median and the ninth decile of the share of the limit.
Sheet spread_sheet(const Table& table, Layout layout);

// CPU, versions and bandwidths in one line.
std::string title_of(const Table& table);
std::vector<Sheet> sheets_of(const Table& table);

std::string as_text(const Table& table, const std::vector<Sheet>& sheets);
std::string as_markdown(const Table& table, const std::vector<Sheet>& sheets);
// The same with pictures: a roofline, and bars by class. In report_html.cpp.
std::string as_html(const Table& table, const std::vector<Sheet>& sheets);

}  // namespace convsmith::bench
