#include <fmt/format.h>

#include <algorithm>

#include "bench/peers/report.hpp"
#include "cli/io/html_report.hpp"
#include "cli/measure/measure.hpp"

namespace convsmith::bench {
namespace {

constexpr size_t kMostBars = 200;  // of a chart with one for each layer

std::string color_of(LayerClass layer_class) {
  return cli::series_color(static_cast<size_t>(layer_class));
}

// Operations inside the input on both axes, so that no dot may lie above the roofs.
cli::Roofline roofline_of(const Table& table, Layout layout) {
  cli::Roofline roofline{
      "What is reached, over the operations for each byte of input, weights and output", 0, {}, {}, {}};
  for (size_t i = 0; i < table.bandwidths_gbs.size(); ++i) {
    const double bandwidth = table.bandwidths_gbs[i];
    roofline.roofs.push_back(
        {fmt::format("{} {:.0f} GB/s", level_name(static_cast<Level>(i)), bandwidth), bandwidth});
  }
  for (const Row& row : table.rows) {
    const Entry* const ours = row.ours(layout);
    if (ours == nullptr) continue;
    roofline.peak = std::max(roofline.peak, row.peak_gflops);
    const double gflops = row.operations_inside / ours->min_us * 1e-3;
    const Entry* const best = row.best_peer(layout);
    roofline.dots.push_back(
        {row.name, row.operations_inside / row.bytes, gflops,
         fmt::format("{} ({}, {}): {:.1f} GF/s, {:.1f} % of the limit{}", row.name,
                     class_name(row.layer_class), level_name(row.level), gflops, 100 * row.limit_share(*ours),
                     best != nullptr
                         ? fmt::format("; {} takes {:.2f} times as long", best->name, row.ratio(*best))
                         : ""),
         color_of(row.layer_class)});
  }
  for (int i = 0; i < kLayerClasses; ++i) {
    const auto layer_class = static_cast<LayerClass>(i);
    roofline.legend.emplace_back(class_name(layer_class), color_of(layer_class));
  }
  return roofline;
}

// A bar for each layer, the shortest first.
cli::BarChart row_bars(const Table& table, Layout layout) {
  cli::BarChart chart{"Best peer's time over ours, by layer", {}, 1};
  for (const Row& row : table.rows) {
    const Entry* const best = row.best_peer(layout);
    if (best == nullptr || row.ours(layout) == nullptr) continue;
    const double ratio = row.ratio(*best);
    chart.bars.push_back(
        {row.name, ratio, fmt::format("{:.2f} {}", ratio, best->name),
         fmt::format("{}: ours {:.2f} us", class_name(row.layer_class), row.ours(layout)->min_us),
         color_of(row.layer_class)});
  }
  std::sort(chart.bars.begin(), chart.bars.end(),
            [](const cli::Bar& a, const cli::Bar& b) { return a.value < b.value; });
  return chart;
}

// Mean over the rows of a class: of the ratio to the best peer, and of the share of the limit.
void add_class_bars(const Table& table, Layout layout, cli::BarChart& ratios, cli::BarChart& shares) {
  for (int i = 0; i < kLayerClasses; ++i) {
    const auto layer_class = static_cast<LayerClass>(i);
    std::vector<double> class_ratios;
    std::vector<double> class_shares;
    std::string names;
    for (const Row& row : table.rows) {
      const Entry* const ours = row.ours(layout);
      if (row.layer_class != layer_class || ours == nullptr) continue;
      if (const Entry* best = row.best_peer(layout)) class_ratios.push_back(row.ratio(*best));
      class_shares.push_back(row.limit_share(*ours));
      names += (names.empty() ? "" : ", ") + row.name;
    }
    const std::string name = class_name(layer_class);
    const double ratio = geometric_mean(class_ratios);
    const double share = 100 * geometric_mean(class_shares);
    if (ratio > 0)
      ratios.bars.push_back({name, ratio, fmt::format("{:.2f}", ratio), names, color_of(layer_class)});
    if (share > 0)
      shares.bars.push_back({name, share, fmt::format("{:.1f} %", share), names, color_of(layer_class)});
  }
}

// How the shares of the limit are spread within each class.
cli::BarChart spread_bars(const Table& table, Layout layout) {
  constexpr std::pair<const char*, double> kShares[] = {
      {"tenth percentile", 0.1}, {"median", 0.5}, {"ninth decile", 0.9}};
  cli::BarChart chart{"Share of the machine's limit, spread over each class", {}, 100};
  for (int i = 0; i < kLayerClasses; ++i) {
    const auto layer_class = static_cast<LayerClass>(i);
    std::vector<double> shares;
    for (const Row& row : table.rows) {
      const Entry* const ours = row.ours(layout);
      if (row.layer_class == layer_class && ours != nullptr) shares.push_back(100 * row.limit_share(*ours));
    }
    for (const auto& [name, share] : kShares) {
      if (shares.empty()) break;
      const double value = cli::percentile(shares, share);
      chart.bars.push_back({fmt::format("{}, {}", class_name(layer_class), name), value,
                            fmt::format("{:.1f} %", value), fmt::format("{} layers", shares.size()),
                            color_of(layer_class)});
    }
  }
  return chart;
}

}  // namespace

std::string as_html(const Table& table, const std::vector<Sheet>& sheets) {
  std::vector<std::string> parts = {cli::html_paragraph(title_of(table))};
  for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
    const bool last = layout == Layout::kChannelsLast;
    const cli::Roofline roofline = roofline_of(table, layout);
    if (roofline.dots.empty()) continue;
    cli::BarChart ratios{"Best peer's time over ours, geometric mean by class", {}, 1};
    cli::BarChart shares{"Share of the machine's limit, geometric mean by class", {}, 100};
    add_class_bars(table, layout, ratios, shares);
    parts.push_back(cli::html_heading(last ? "Channels last" : "Channels first"));
    parts.push_back(cli::svg_roofline(roofline));
    parts.push_back(cli::svg_bars(shares));
    parts.push_back(cli::svg_bars(spread_bars(table, layout)));
    if (ratios.bars.empty()) continue;
    parts.push_back(cli::svg_bars(ratios));
    if (table.rows.size() <= kMostBars) parts.push_back(cli::svg_bars(row_bars(table, layout)));
  }
  for (const Sheet& sheet : sheets) {
    parts.push_back(cli::html_heading(sheet.title));
    if (!sheet.note.empty()) parts.push_back(cli::html_paragraph(sheet.note));
    if (!sheet.rows.empty()) parts.push_back(cli::html_table(sheet.header, sheet.rows));
  }
  return cli::html_page("convsmith beside other libraries", parts);
}

}  // namespace convsmith::bench
