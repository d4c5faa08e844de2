// Draws layers at random and lists where convsmith is farthest from the limit and from its peers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/command.hpp"
#include "bench/hunt/draw_shape.hpp"
#include "bench/peers/measure_table.hpp"
#include "bench/peers/report.hpp"
#include "cli/commands.hpp"
#include "cli/io/files.hpp"

namespace convsmith::bench {
namespace {

struct Options {
  cli::CommonOptions common;
  int64_t count = 300;
  uint64_t seed = 1;
  double seconds = 0.2;
  bool no_peers = false;
  bool no_shrink = false;
  size_t worst = 20;
  std::string from;
  std::string json;
  std::string html;
};

constexpr uint64_t kLargestFile = uint64_t{256} << 20;
constexpr size_t kKeepEvery = 50;  // layers, so that a long hunt that is stopped loses little

// Of a layer in one layout; 0: no figure.
using Share = std::function<double(const Row&, Layout)>;

double limit_share(const Row& row, Layout layout) {
  return row.limit_share(layout);
}
double peer_share(const Row& row, Layout layout) {
  return row.best_ratio(layout);
}

struct Found {
  const Row* row;
  Layout layout;
  double share;
};

// The smallest shares below `below`, the worst first.
std::vector<Found> worst_of(const Table& table, const Share& share, double below, size_t most) {
  std::vector<Found> found;
  for (const Row& row : table.rows) {
    for (const Layout layout : {Layout::kChannelsLast, Layout::kChannelsFirst}) {
      const double value = share(row, layout);
      if (value > 0 && value < below) found.push_back({&row, layout, value});
    }
  }
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.share < b.share; });
  found.resize(std::min(found.size(), most));
  return found;
}

Sheet worst_sheet(const std::string& title, const std::vector<Found>& found) {
  Sheet sheet{
      title, "", {"layer, as in bench/shapes.csv", "class", "layout", "ours us", "limit us", "share"}, {}};
  for (const Found& each : found) {
    const Entry& ours = *each.row->ours(each.layout);
    sheet.rows.push_back({each.row->layer, class_name(each.row->layer_class),
                          each.layout == Layout::kChannelsLast ? "last" : "first",
                          fmt::format("{:.1f}", ours.min_us), fmt::format("{:.1f}", each.row->limit_us()),
                          fmt::format("{:.2f}", each.share)});
  }
  return sheet;
}

constexpr double kBehindPeer = 0.95;
constexpr double kFarFromLimit = 0.5;

std::vector<Sheet> sheets_of(const Table& table, size_t worst) {
  std::vector<Sheet> sheets = {spread_sheet(table, Layout::kChannelsLast),
                               spread_sheet(table, Layout::kChannelsFirst)};
  sheets.push_back(
      worst_sheet("Farthest from the limit", worst_of(table, limit_share, kFarFromLimit, worst)));
  const std::vector<Found> behind = worst_of(table, peer_share, kBehindPeer, table.rows.size());
  sheets.push_back(worst_sheet(
      fmt::format("More than 5 % behind the best peer: {} of {}", behind.size(),
                  worst_of(table, peer_share, HUGE_VAL, 2 * table.rows.size()).size()),
      {behind.begin(), behind.begin() + static_cast<std::ptrdiff_t>(std::min(worst, behind.size()))}));
  sheets.push_back(problem_sheet(table));
  std::erase_if(sheets, [](const Sheet& sheet) { return sheet.rows.empty(); });
  return sheets;
}

Result<void> keep(const Options& options, const Table& table) {
  if (options.json.empty()) return {};
  return cli::write_text(options.json, to_json(table).dump(1) + "\n");
}

// What a call of the smallest layer takes.
double call_cost(Bench& bench) {
  Shape1d smallest;
  smallest.steps = 1;
  smallest.spec.filters = 1;
  smallest.spec.kernel_size = 1;
  smallest.spec.input_shape = {std::nullopt, 1};
  const auto row = bench.measure(smallest, 0.1);
  return row && row->ours() != nullptr ? row->ours()->min_us : 0;
}

// The smallest layers that are as slow as those that were found.
void print_shrunk(Bench& bench, const Options& options, const std::vector<Found>& found,
                  std::span<const Shape1d> shapes, const Share& share, double call_us) {
  constexpr int kTries = 40;
  constexpr double kLong = 10;
  for (const Found& each : found) {
    const auto shape = std::find_if(shapes.begin(), shapes.end(),
                                    [&](const Shape1d& s) { return s.name == each.row->name; });
    const auto is_slow = [&](const Shape1d& smaller) {
      auto row = bench.measure(smaller, options.seconds);
      if (!row) return false;
      row->call_us = call_us;
      const double value = share(*row, each.layout);
      // What a call costs is another cause.
      const bool is_long = value > 0 && row->ours(each.layout)->min_us >
                                            std::min(each.row->ours(each.layout)->min_us / 2, kLong);
      return is_long && value < 1.1 * each.share;
    };
    fmt::print("{:.2f}  {}\n", each.share, csv_row(shrink(*shape, is_slow, kTries)));
  }
}

int report(const Options& options, const Table& table) {
  fmt::print("{}", as_text(table, sheets_of(table, options.worst)));
  if (const auto done = keep(options, table); !done) return cli::report(done.error());
  if (options.html.empty()) return cli::kOk;
  const auto done = cli::write_text(options.html, as_html(table, sheets_of(table, options.worst)));
  return done ? cli::kOk : cli::report(done.error());
}

int run(const Options& options) {
  if (!options.from.empty()) {
    const auto text = cli::read_text(options.from, kLargestFile);
    if (!text) return cli::report(text.error());
    const auto table = table_from_json(*text, options.from);
    return table ? report(options, *table) : cli::report(table.error());
  }
  auto bench = Bench::make(options.common, !options.no_peers, options.seconds);
  if (!bench) return cli::report(bench.error());
  const double call_us = call_cost(*bench);
  std::vector<Shape1d> shapes;
  for (int64_t i = 0; i < options.count; ++i) shapes.push_back(draw_shape(options.seed, i));
  Result<void> kept;
  const auto finish_row = [&](Table& table) {
    table.rows.back().call_us = call_us;
    table.rows.back().layer = csv_row(shapes[table.rows.size() - 1]);
    if (table.rows.size() % kKeepEvery == 0) kept = keep(options, table);
  };
  const auto table = bench->measure(shapes, finish_row);
  if (!table) return cli::report(table.error());
  if (!kept) return cli::report(kept.error());
  const int code = report(options, *table);
  if (options.no_shrink || code != cli::kOk) return code;
  fmt::print("\nThe smallest layers as far from the limit\n");
  print_shrunk(*bench, options, worst_of(*table, limit_share, kFarFromLimit, options.worst), shapes,
               limit_share, call_us);
  fmt::print("\nThe smallest layers as far behind the best peer\n");
  print_shrunk(*bench, options, worst_of(*table, peer_share, kBehindPeer, options.worst), shapes, peer_share,
               call_us);
  return cli::kOk;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--count", options.count, "Layers to draw (default: 300)")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
      ->type_name("N");
  app.add_option("--seed", options.seed, "Another seed draws other layers (default: 1)")->type_name("N");
  app.add_option("--seconds", options.seconds, "For each layer, all libraries together (default: 0.2)")
      ->check(CLI::Range(0.001, 600.0))
      ->type_name("S");
  app.add_flag("--no-peers", options.no_peers, "convsmith and the limit only");
  app.add_flag("--no-shrink", options.no_shrink, "Does not look for smaller layers that are as slow");
  app.add_option("--worst", options.worst, "Layers to list (default: 20)")->type_name("N");
  app.add_option("--from", options.from, "Reads this file of --json instead of measuring")->type_name("FILE");
  app.add_option("--json", options.json, "Writes all figures, every 50 layers what is there")
      ->type_name("FILE");
  app.add_option("--html", options.html, "Writes tables and pictures as a web page")->type_name("FILE");
}

}  // namespace
}  // namespace convsmith::bench

int main(int argc, char** argv) {
  using namespace convsmith::bench;
  return run_command("Times random layers beside the limit and other libraries, on one thread.", "hunt",
                     add_options, run, argc, argv);
}
