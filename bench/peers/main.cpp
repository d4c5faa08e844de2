// convsmith beside other libraries on the layers of published networks: one table, one command.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

#include "bench/command.hpp"
#include "bench/peers/check.hpp"
#include "bench/peers/measure_row.hpp"
#include "bench/peers/report.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/measure/compare.hpp"
#include "runtime/compile.hpp"

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

void show_progress(const std::string& words) {
  if (isatty(STDERR_FILENO) != 0) std::fputs(fmt::format("\r{:70}\r", words).c_str(), stderr);
}

// The machine, the ways and the layers of a run.
class Bench {
 public:
  static Result<Bench> make(const Options& options) {
    const auto choice = choose_backend(options.common.backend, options.common.isa);
    if (!choice) return tl::unexpected(choice.error());
    if (choice->isa == Isa::kBaseline) {
      return make_error(
          ErrorCode::kUnavailable,
          "The instruction set is baseline, and the loops that measure bandwidth need avx2 or avx512.");
    }
    auto peak = cli::PeakLoop::make(choice->isa);
    if (!peak) return tl::unexpected(peak.error());
    const Caches caches = system_caches();
    return Bench(options, *choice, {std::move(*peak), TrafficLoops(caches, choice->isa), caches});
  }

  Result<Table> measure() {
    Table table{cli::cpu_name(),
                std::string(backend_name(choice_.backend)),
                std::string(isa_name(choice_.isa)),
                {},
                {},
                {},
                0};
    const std::clock_t cpu_begin = std::clock();
    const auto begin = std::chrono::steady_clock::now();
    for (const Way& way : ways_) {
      const bool is_new =
          std::find(table.versions.begin(), table.versions.end(), way.version) == table.versions.end();
      if (is_new && !way.version.empty()) table.versions.push_back(way.version);
    }
    for (int i = 0; i < kLevels; ++i)
      table.bandwidths_gbs.push_back(machine_.traffic.measure(static_cast<Level>(i)));
    for (size_t i = 0; i < shapes_.size(); ++i) {
      show_progress(fmt::format("{} of {} layers: {}", i + 1, shapes_.size(), shapes_[i].name));
      auto row = measure_row(shapes_[i], ways_, machine_, options_.seconds);
      if (!row) return make_error(row.error().code, shapes_[i].name + ": " + row.error().message);
      table.rows.push_back(std::move(*row));
    }
    show_progress("");
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    table.core_share = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC / passed.count();
    // What was seen later may be better.
    for (const Row& row : table.rows) {
      double& bandwidth = table.bandwidths_gbs[static_cast<size_t>(row.level)];
      bandwidth = std::max(bandwidth, row.bandwidth_gbs);
    }
    return table;
  }

  // Measures the layers that seem slower than `stored` again and keeps what was better: a busy moment is no
  // regression.
  Result<void> measure_again(const Table& stored, double tolerance, Table& table) {
    const auto count_slower = [&](const Row& row) {
      Table alone;
      alone.rows.push_back(row);
      return find_slower(stored, alone, tolerance).size();
    };
    for (size_t i = 0; i < shapes_.size(); ++i) {
      const size_t slower = count_slower(table.rows[i]);
      if (slower == 0) continue;
      show_progress(fmt::format("again: {}", shapes_[i].name));
      auto again = measure_row(shapes_[i], ways_, machine_, options_.seconds);
      if (!again) return tl::unexpected(again.error());
      if (count_slower(*again) < slower) table.rows[i] = std::move(*again);
    }
    show_progress("");
    return {};
  }

 private:
  Bench(const Options& options, Choice choice, Machine machine)
      : options_(options),
        choice_(choice),
        machine_(std::move(machine)),
        ways_(own_ways(choice.backend, choice.isa)) {
    for (Way& way : options.no_peers ? std::vector<Way>() : peer_ways(choice.isa))
      ways_.push_back(std::move(way));
    shapes_ = read_shapes(options.shapes);
    std::erase_if(shapes_, [&](const Shape1d& shape) {
      return shape.name.find(options.filter) == std::string::npos &&
             class_name(layer_class(shape)).find(options.filter) == std::string::npos;
    });
  }

  const Options& options_;
  Choice choice_;
  Machine machine_;
  std::vector<Way> ways_;
  std::vector<Shape1d> shapes_;
};

Result<void> write_reports(const Options& options, const Table& table) {
  const auto write = [](const std::string& path, const auto& make) {
    return path.empty() ? Result<void>() : cli::write_text(path, make());
  };
  if (const auto done = write(options.json, [&] { return to_json(table).dump(1) + "\n"; }); !done)
    return done;
  if (const auto done = write(options.markdown, [&] { return as_markdown(table); }); !done) return done;
  return write(options.html, [&] { return as_html(table); });
}

// The table of this run: measured, or read.
Result<Table> make_table(const Options& options, std::optional<Bench>& bench) {
  if (!options.from.empty()) return read_table(options.from);
  auto made = Bench::make(options);
  if (!made) return tl::unexpected(made.error());
  bench.emplace(std::move(*made));
  return bench->measure();
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
  const double tolerance = options.tolerance / 100;
  std::optional<Bench> bench;
  auto table = make_table(options, bench);
  if (!table) return cli::report(table.error());
  if (table->rows.empty()) {
    return cli::report({ErrorCode::kInvalidData,
                        fmt::format("--filter is '{}', and no layer or class of layers has that in its name.",
                                    options.filter)});
  }
  if (bench) {
    if (const auto done = bench->measure_again(*stored, tolerance, *table); !done)
      return cli::report(done.error());
  }
  if (const auto done = merge_all(options.merge, *table); !done) return cli::report(done.error());
  fmt::print("{}", as_text(*table));
  if (const auto done = write_reports(options, *table); !done) return cli::report(done.error());
  return options.check.empty() ? cli::kOk : report_changes(find_slower(*stored, *table, tolerance), options);
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
