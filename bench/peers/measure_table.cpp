#include "bench/peers/measure_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "bench/peers/check.hpp"
#include "cli/measure/compare.hpp"

namespace convsmith::bench {
namespace {

void show_progress(const std::string& words) {
  if (isatty(STDERR_FILENO) != 0) std::fputs(fmt::format("\r{:70}\r", words).c_str(), stderr);
}

}  // namespace

Result<Bench> Bench::make(const cli::CommonOptions& common, bool with_peers, double seconds) {
  const auto choice = choose_backend(common.backend, common.isa);
  if (!choice) return tl::unexpected(choice.error());
  if (choice->isa == Isa::kBaseline) {
    return make_error(
        ErrorCode::kUnavailable,
        "The instruction set is baseline, and the loops that measure bandwidth need avx2 or avx512.");
  }
  auto peak = cli::PeakLoop::make(choice->isa);
  if (!peak) return tl::unexpected(peak.error());
  const Caches caches = system_caches();
  return Bench(*choice, {std::move(*peak), TrafficLoops(caches, choice->isa), caches}, with_peers, seconds);
}

Bench::Bench(Choice choice, Machine machine, bool with_peers, double seconds)
    : choice_(choice),
      machine_(std::move(machine)),
      ways_(own_ways(choice.backend, choice.isa)),
      seconds_(seconds) {
  for (Way& way : with_peers ? peer_ways(choice.isa) : std::vector<Way>()) ways_.push_back(std::move(way));
}

Result<Row> Bench::measure(const Shape1d& shape, double seconds) {
  return measure_row(shape, ways_, machine_, seconds);
}

Result<Table> Bench::measure(std::span<const Shape1d> shapes, const std::function<void(Table&)>& done) {
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
  for (const Shape1d& shape : shapes) {
    show_progress(fmt::format("{} of {} layers: {}", table.rows.size() + 1, shapes.size(), shape.name));
    auto row = measure(shape, seconds_);
    if (!row) return make_error(row.error().code, shape.name + ": " + row.error().message);
    // What was seen later may be better.
    double& bandwidth = table.bandwidths_gbs[static_cast<size_t>(row->level)];
    bandwidth = std::max(bandwidth, row->bandwidth_gbs);
    table.rows.push_back(std::move(*row));
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    table.core_share = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC / passed.count();
    if (done) done(table);
  }
  show_progress("");
  return table;
}

Result<void> Bench::measure_again(std::span<const Shape1d> shapes, const Table& stored, double tolerance,
                                  Table& table) {
  const auto count_slower = [&](const Row& row) {
    Table alone;
    alone.rows.push_back(row);
    return find_slower(stored, alone, tolerance).size();
  };
  for (size_t i = 0; i < shapes.size(); ++i) {
    const size_t slower = count_slower(table.rows[i]);
    if (slower == 0) continue;
    show_progress(fmt::format("again: {}", shapes[i].name));
    auto again = measure(shapes[i], seconds_);
    if (!again) return tl::unexpected(again.error());
    if (count_slower(*again) < slower) table.rows[i] = std::move(*again);
  }
  show_progress("");
  return {};
}

}  // namespace convsmith::bench
