// convsmith beside other libraries on the layers of published networks: one table, one command.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/command.hpp"
#include "bench/peers/check.hpp"
#include "bench/peers/measure_table.hpp"
#include "bench/peers/report.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"

namespace convsmith::bench {
namespace {

struct Options {
  cli::CommonOptions common;
  std::string shapes = default_shapes();
  std::string filter;
  double seconds = 0.5;
  bool no_peers = false;
  std::string from;
  std::vector<std::string> merge;
  std::string json;
  std::string markdown;
  std::string html;
  std::string check;
  double tolerance = 10;  // percent
};

constexpr uint64_t kLargestFile = uint64_t{64} << 20;

Result<Table> read_table(const std::string& path) {
  const auto text = cli::read_text(path, kLargestFile);
  if (!text) return tl::unexpected(text.error());
  return table_from_json(*text, path);
}

// The layers whose name or class has `filter` in it.
std::vector<Shape1d> chosen_shapes(const Options& options) {
  std::vector<Shape1d> shapes = read_shapes(options.shapes);
  std::erase_if(shapes, [&](const Shape1d& shape) {
    return shape.name.find(options.filter) == std::string::npos &&
           class_name(layer_class(shape)).find(options.filter) == std::string::npos;
  });
  return shapes;
}

Result<void> write_reports(const Options& options, const Table& table) {
  const auto write = [](const std::string& path, const auto& make) {
    return path.empty() ? Result<void>() : cli::write_text(path, make());
  };
  if (const auto done = write(options.json, [&] { return to_json(table).dump(1) + "\n"; }); !done)
    return done;
  if (const auto done = write(options.markdown, [&] { return as_markdown(table, sheets_of(table)); }); !done)
    return done;
  return write(options.html, [&] { return as_html(table, sheets_of(table)); });
}

// The table of this run: measured, or read. What seems slower than `stored` is measured again.
Result<Table> make_table(const Options& options, const Table& stored) {
  if (!options.from.empty()) return read_table(options.from);
  auto bench = Bench::make(options.common, !options.no_peers, options.seconds);
  if (!bench) return tl::unexpected(bench.error());
  const std::vector<Shape1d> shapes = chosen_shapes(options);
  auto table = bench->measure(shapes);
  if (!table) return table;
  if (auto done = bench->measure_again(shapes, stored, options.tolerance / 100, *table); !done)
    return tl::unexpected(done.error());
  return table;
}

Result<void> merge_all(const std::vector<std::string>& paths, Table& table) {
  for (const std::string& path : paths) {
    const auto other = read_table(path);
    if (!other) return tl::unexpected(other.error());
    merge(table, *other);
  }
  return {};
}

int report_changes(const std::vector<Change>& changes, const Options& options) {
  fmt::print("\n{} figures are more than {:g} % below those of {}.\n", changes.size(), options.tolerance,
             options.check);
  for (const Change& change : changes)
    fmt::print("slower: {}: {} was {:.3f} and is {:.3f}\n", change.row, change.what, change.before,
               change.now);
  return changes.empty() ? cli::kOk : cli::kFailure;
}

int run(const Options& options) {
  // A file that cannot be read is found before anything is measured.
  const Result<Table> stored = options.check.empty() ? Table() : read_table(options.check);
  if (!stored) return cli::report(stored.error());
  auto table = make_table(options, *stored);
  if (!table) return cli::report(table.error());
  if (table->rows.empty()) {
    return cli::report({ErrorCode::kInvalidData,
                        fmt::format("--filter is '{}', and no layer or class of layers has that in its name.",
                                    options.filter)});
  }
  if (const auto done = merge_all(options.merge, *table); !done) return cli::report(done.error());
  fmt::print("{}", as_text(*table, sheets_of(*table)));
  if (const auto done = write_reports(options, *table); !done) return cli::report(done.error());
  if (options.check.empty()) return cli::kOk;
  return report_changes(find_slower(*stored, *table, options.tolerance / 100), options);
}

void add_options(CLI::App& app, Options& options) {
  const auto path = [&](const char* name, auto& target, const char* help) {
    return app.add_option(name, target, help)->type_name("FILE");
  };
  app.add_option("--filter", options.filter, "Only layers with this in their name or class")
      ->type_name("TEXT");
  app.add_option("--seconds", options.seconds, "For each layer, all libraries together (default: 0.5)")
      ->check(CLI::Range(0.001, 600.0))
      ->type_name("S");
  path("--shapes", options.shapes, "Table of layers (default: bench/shapes.csv)");
  app.add_flag("--no-peers", options.no_peers, "convsmith only");
  CLI::Option* const from = path("--from", options.from, "Reads this file of --json instead of measuring");
  from->excludes("--filter")->excludes("--no-peers");
  path("--merge", options.merge, "Adds what bench/python_peers.py measured; may be given several times");
  path("--json", options.json, "Writes all figures");
  path("--markdown", options.markdown, "Writes the tables");
  path("--html", options.html, "Writes tables and pictures as a web page");
  CLI::Option* const stored =
      path("--check", options.check, "Exit code 1 where convsmith got slower than in this file of --json");
  app.add_option("--tolerance", options.tolerance, "Of --check, in percent (default: 10)")
      ->check(CLI::Range(0.0, 100.0))
      ->needs(stored)
      ->type_name("P");
}

}  // namespace
}  // namespace convsmith::bench

int main(int argc, char** argv) {
  using namespace convsmith::bench;
  return run_command(
      "Times convsmith beside other libraries on the layers of bench/shapes.csv, on one thread.",
      "peers_bench", add_options, run, argc, argv);
}
