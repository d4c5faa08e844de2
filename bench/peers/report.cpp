#include "bench/peers/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cli/measure/measure.hpp"

namespace convsmith::bench {
namespace {

std::string time_words(double us) {
  if (us < 10) return fmt::format("{:.2f}", us);
  return us < 100 ? fmt::format("{:.1f}", us) : fmt::format("{:.0f}", us);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}
std::string times(double ratio) {
  return ratio > 0 ? fmt::format("{:.2f}", ratio) : "-";
}

// Names of the peers' entries of a layout in the order of their first appearance.
std::vector<std::string> entry_names(const Table& table, Layout layout) {
  std::vector<std::string> names;
  for (const Row& row : table.rows) {
    for (const Entry& entry : row.entries) {
      if (entry.library == kOurs || entry.layout != layout) continue;
      if (std::find(names.begin(), names.end(), entry.name) == names.end()) names.push_back(entry.name);
    }
  }
  return names;
}

const Entry* find_entry(const Row& row, const std::string& name, Layout layout) {
  for (const Entry& entry : row.entries)
    if (entry.name == name && entry.layout == layout) return &entry;
  return nullptr;
}

// Measured in other rounds: what it would be beside ours of this row.
std::string peer_cell(const Row& row, const Entry* entry) {
  if (entry == nullptr) return "-";
  if (!entry->is_valid()) return entry->min_us > 0 ? "wrong" : "-";
  const Entry* const ours = row.ours(entry->layout);
  return time_words(ours != nullptr ? row.ratio(*entry) * ours->min_us : entry->min_us);
}

std::string layout_words(Layout layout) {
  return layout == Layout::kChannelsLast ? "channels last" : "channels first";
}

using Pick = std::function<double(const Row&)>;  // 0: none

std::vector<double> values_of(const Table& table, const Pick& pick) {
  std::vector<double> values;
  for (const Row& row : table.rows)
    if (const double value = pick(row); value > 0) values.push_back(value);
  return values;
}

Pick of_class(int which, const Pick& pick) {
  return [=](const Row& row) { return static_cast<int>(row.layer_class) == which ? pick(row) : 0; };
}

// One line of the means: rows that have a ratio, its mean, the mean share of the limit.
void add_mean(Sheet& sheet, const Table& table, const std::string& name, const Pick& ratio,
              const Pick& share) {
  const std::vector<double> ratios = values_of(table, ratio);
  const std::vector<double> shares = values_of(table, share);
  if (ratios.empty() && shares.empty()) return;
  sheet.rows.push_back({name, std::to_string(ratios.empty() ? shares.size() : ratios.size()),
                        times(geometric_mean(ratios)),
                        shares.empty() ? "-" : percent(geometric_mean(shares))});
}

std::vector<size_t> widths_of(const Sheet& sheet) {
  std::vector<size_t> widths;
  for (const std::string& cell : sheet.header) widths.push_back(cell.size());
  for (const auto& row : sheet.rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  return widths;
}

std::string text_line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line = fmt::format("{:<{}}", cells[0], widths[0]);
  for (size_t i = 1; i < cells.size(); ++i) line += fmt::format("  {:>{}}", cells[i], widths[i]);
  return line + "\n";
}

std::string markdown_line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += fmt::format(" {} |", cell);
  return line + "\n";
}

}  // namespace

double geometric_mean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

Sheet layer_sheet(const Table& table, Layout layout) {
  const std::vector<std::string> peers = entry_names(table, layout);
  Sheet sheet{fmt::format("Layers, {}", layout_words(layout)),
              "Microseconds of the shortest call; ratio is the best peer's time over ours.",
              {"layer", "class", "ours us", "GF/s", "of peak", "lives in", "of limit"},
              {}};
  sheet.header.insert(sheet.header.end(), peers.begin(), peers.end());
  sheet.header.insert(sheet.header.end(), {"best peer", "ratio"});
  for (const Row& row : table.rows) {
    const Entry* const ours = row.ours(layout);
    if (ours == nullptr) continue;
    std::vector<std::string> cells = {row.name,
                                      class_name(row.layer_class),
                                      time_words(ours->min_us),
                                      fmt::format("{:.1f}", row.gflops(*ours)),
                                      percent(row.peak_share(*ours)),
                                      level_name(row.level),
                                      percent(row.limit_share(*ours))};
    for (const std::string& name : peers) cells.push_back(peer_cell(row, find_entry(row, name, layout)));
    const Entry* const best = row.best_peer(layout);
    cells.push_back(best != nullptr ? best->name : "-");
    cells.push_back(best != nullptr ? times(row.ratio(*best)) : "-");
    sheet.rows.push_back(std::move(cells));
  }
  return sheet;
}

Sheet mean_sheet(const Table& table, Layout layout) {
  Sheet sheet{
      fmt::format("Geometric means, {}", layout_words(layout)), "", {"", "layers", "ratio", "of limit"}, {}};
  const Pick best = [=](const Row& row) { return row.best_ratio(layout); };
  const Pick share = [=](const Row& row) { return row.limit_share(layout); };
  const Pick nothing = [](const Row&) { return 0.0; };
  add_mean(sheet, table, "the best of all peers", best, share);
  for (const std::string& library : table.libraries())
    add_mean(
        sheet, table, library, [=](const Row& row) { return row.best_ratio(layout, library); }, nothing);
  for (int i = 0; i < kLayerClasses; ++i)
    add_mean(sheet, table, class_name(static_cast<LayerClass>(i)), of_class(i, best), of_class(i, share));
  return sheet;
}

Sheet behind_sheet(const Table& table, Layout layout) {
  constexpr double kBehind = 1 / 1.03;
  std::vector<const Row*> behind;
  size_t compared = 0;
  for (const Row& row : table.rows) {
    const double ratio = row.best_ratio(layout);
    if (ratio > 0) ++compared;
    if (ratio > 0 && ratio < kBehind) behind.push_back(&row);
  }
  std::sort(behind.begin(), behind.end(),
            [&](const Row* a, const Row* b) { return a->best_ratio(layout) < b->best_ratio(layout); });
  Sheet sheet{fmt::format("{} of {} layers more than 3 % behind the best peer, {}", behind.size(), compared,
                          layout_words(layout)),
              "",
              {"layer", "best peer", "ratio"},
              {}};
  for (const Row* row : behind)
    sheet.rows.push_back({row->name, row->best_peer(layout)->name, times(row->best_ratio(layout))});
  return sheet;
}

Sheet create_sheet(const Table& table) {
  Sheet sheet{
      "Microseconds to make a layer callable, weights packed", "", {"", "layers", "mean", "largest"}, {}};
  for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
    std::vector<std::string> names = entry_names(table, layout);
    names.insert(names.begin(), kOurs);
    for (const std::string& name : names) {
      const std::vector<double> values = values_of(table, [&](const Row& row) {
        const Entry* const entry = find_entry(row, name, layout);
        return entry != nullptr && entry->is_valid() ? entry->create_us : 0;
      });
      if (values.empty()) continue;
      sheet.rows.push_back({fmt::format("{}, {}", name, layout_words(layout)), std::to_string(values.size()),
                            time_words(geometric_mean(values)),
                            time_words(*std::max_element(values.begin(), values.end()))});
    }
  }
  return sheet;
}

Sheet problem_sheet(const Table& table) {
  Sheet sheet{"Not counted", "", {"layer", "library", "why"}, {}};
  for (const Row& row : table.rows)
    for (const Entry& entry : row.entries)
      if (!entry.problem.empty()) sheet.rows.push_back({row.name, entry.name, entry.problem});
  return sheet;
}

Sheet spread_sheet(const Table& table, Layout layout) {
  Sheet sheet{fmt::format("Share of the limit by class, {}", layout_words(layout)),
              "",
              {"", "layers", "tenth percentile", "median", "ninth decile"},
              {}};
  const Pick share = [=](const Row& row) { return row.limit_share(layout); };
  const auto add = [&](const std::string& name, const Pick& pick) {
    const std::vector<double> shares = values_of(table, pick);
    if (shares.empty()) return;
    sheet.rows.push_back({name, std::to_string(shares.size()), percent(cli::percentile(shares, 0.1)),
                          percent(cli::percentile(shares, 0.5)), percent(cli::percentile(shares, 0.9))});
  };
  for (int i = 0; i < kLayerClasses; ++i) add(class_name(static_cast<LayerClass>(i)), of_class(i, share));
  add("all", share);
  return sheet;
}

std::string title_of(const Table& table) {
  std::string title = fmt::format("{}; convsmith {} {}", table.cpu, table.backend, table.isa);
  for (const std::string& version : table.versions) title += ", " + version;
  title += "; one thread";
  for (size_t i = 0; i < table.bandwidths_gbs.size(); ++i)
    title += fmt::format("{} {} {:.0f}", i == 0 ? "; traffic GB/s:" : ",", level_name(static_cast<Level>(i)),
                         table.bandwidths_gbs[i]);
  if (table.core_share > 0 && table.core_share < 0.97)
    title += fmt::format("; the process had only {:.0f} % of its core, so do not trust these figures",
                         100 * table.core_share);
  return title;
}

std::vector<Sheet> sheets_of(const Table& table) {
  std::vector<Sheet> sheets;
  for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
    Sheet layers = layer_sheet(table, layout);
    if (layers.rows.empty()) continue;
    sheets.push_back(std::move(layers));
    sheets.push_back(mean_sheet(table, layout));
    if (!entry_names(table, layout).empty()) sheets.push_back(behind_sheet(table, layout));
  }
  sheets.push_back(create_sheet(table));
  Sheet problems = problem_sheet(table);
  if (!problems.rows.empty()) sheets.push_back(std::move(problems));
  return sheets;
}

std::string as_text(const Table& table, const std::vector<Sheet>& sheets) {
  std::string text = title_of(table) + "\n";
  for (const Sheet& sheet : sheets) {
    text += fmt::format("\n{}\n", sheet.title);
    if (!sheet.note.empty()) text += sheet.note + "\n";
    if (sheet.rows.empty()) continue;
    const std::vector<size_t> widths = widths_of(sheet);
    text += text_line(sheet.header, widths);
    for (const auto& row : sheet.rows) text += text_line(row, widths);
  }
  return text;
}

std::string as_markdown(const Table& table, const std::vector<Sheet>& sheets) {
  std::string text = title_of(table) + "\n";
  for (const Sheet& sheet : sheets) {
    text += fmt::format("\n## {}\n\n", sheet.title);
    if (!sheet.note.empty()) text += sheet.note + "\n\n";
    if (sheet.rows.empty()) continue;
    text += markdown_line(sheet.header);
    text += markdown_line(std::vector<std::string>(sheet.header.size(), "---"));
    for (const auto& row : sheet.rows) text += markdown_line(row);
  }
  return text;
}

}  // namespace convsmith::bench
