#include "bench/peers/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "bench/peers/limits.hpp"

namespace convsmith::bench {
namespace {

using Json = nlohmann::json;

std::string layout_name(Layout layout) {
  return layout == Layout::kChannelsLast ? "channels_last" : "channels_first";
}

// The value of an enumeration of `count` values whose name is `name`.
template <class T>
T value_of(const std::string& name, int count, std::string (*name_of)(T)) {
  for (int i = 0; i < count; ++i)
    if (name_of(static_cast<T>(i)) == name) return static_cast<T>(i);
  throw Json::other_error::create(501, fmt::format("'{}' is unknown", name), nullptr);
}

Json entry_json(const Row& row, const Entry& entry) {
  Json json = {{"name", entry.name},
               {"library", entry.library},
               {"layout", layout_name(entry.layout)},
               {"min_us", entry.min_us},
               {"p50_us", entry.p50_us},
               {"create_us", entry.create_us},
               {"difference", entry.difference}};
  if (entry.ours_us > 0) json["ours_us"] = entry.ours_us;
  if (!entry.problem.empty()) json["problem"] = entry.problem;
  if (!entry.is_valid()) return json;
  // For readers; not read back.
  json["gflops"] = row.gflops(entry);
  json["peak_share"] = row.peak_share(entry);
  if (entry.library == kOurs) json["limit_share"] = row.limit_share(entry);
  if (entry.library != kOurs) json["ratio"] = row.ratio(entry);
  return json;
}

Entry entry_from(const Json& json) {
  Entry entry;
  entry.name = json.at("name");
  entry.library = json.at("library");
  entry.layout = value_of(std::string(json.at("layout")), 2, layout_name);
  entry.min_us = json.value("min_us", 0.0);
  entry.p50_us = json.value("p50_us", 0.0);
  entry.create_us = json.value("create_us", 0.0);
  entry.difference = json.value("difference", 0.0);
  entry.ours_us = json.value("ours_us", 0.0);
  entry.problem = json.value("problem", "");
  return entry;
}

Json row_json(const Row& row) {
  Json entries = Json::array();
  for (const Entry& entry : row.entries) entries.push_back(entry_json(row, entry));
  Json json = {{"name", row.name},
               {"class", class_name(row.layer_class)},
               {"batch", row.batch},
               {"steps", row.steps},
               {"operations", row.operations},
               {"operations_inside", row.operations_inside},
               {"bytes", row.bytes},
               {"level", level_name(row.level)},
               {"peak_gflops", row.peak_gflops},
               {"bandwidth_gbs", row.bandwidth_gbs},
               {"limit_us", row.limit_us()},
               {"entries", std::move(entries)}};
  if (row.call_us > 0) json["call_us"] = row.call_us;
  if (!row.layer.empty()) json["layer"] = row.layer;
  return json;
}

// Only name and entries are needed: what other programs measured is for merge.
Row row_from(const Json& json) {
  Row row;
  row.name = json.at("name");
  if (json.contains("class"))
    row.layer_class = value_of(std::string(json.at("class")), kLayerClasses, class_name);
  row.batch = json.value("batch", int64_t{1});
  row.steps = json.value("steps", int64_t{0});
  row.operations = json.value("operations", 0.0);
  row.operations_inside = json.value("operations_inside", 0.0);
  row.bytes = json.value("bytes", 0.0);
  if (json.contains("level")) row.level = value_of(std::string(json.at("level")), kLevels, level_name);
  row.peak_gflops = json.value("peak_gflops", 0.0);
  row.bandwidth_gbs = json.value("bandwidth_gbs", 0.0);
  row.call_us = json.value("call_us", 0.0);
  row.layer = json.value("layer", "");
  for (const Json& entry : json.at("entries")) row.entries.push_back(entry_from(entry));
  return row;
}

}  // namespace

std::string level_name(Level level) {
  constexpr std::array<const char*, kLevels> kNames = {"L1", "L2", "L3", "memory"};
  return kNames[static_cast<size_t>(level)];
}

const Entry* Row::ours(Layout layout) const {
  const auto is_ours = [&](const Entry& e) {
    return e.library == kOurs && e.layout == layout && e.is_valid();
  };
  const auto entry = std::find_if(entries.begin(), entries.end(), is_ours);
  return entry == entries.end() ? nullptr : &*entry;
}

double Row::limit_us() const {
  constexpr double kShort = 5;
  const double limit = shortest_us(operations_inside, bytes, peak_gflops, bandwidth_gbs);
  return limit < kShort ? limit + call_us : limit;
}

double Row::ratio(const Entry& peer) const {
  const Entry* const own = ours(peer.layout);
  const double ours_us = peer.ours_us > 0 ? peer.ours_us : own != nullptr ? own->min_us : 0;
  return ours_us > 0 && peer.is_valid() ? peer.min_us / ours_us : 0;
}

const Entry* Row::best_peer(Layout layout, const std::string& library) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries) {
    const bool fits = entry.library != kOurs && entry.layout == layout && ratio(entry) > 0 &&
                      (library.empty() || entry.library == library);
    if (fits && (best == nullptr || ratio(entry) < ratio(*best))) best = &entry;
  }
  return best;
}

double Row::limit_share(Layout layout) const {
  const Entry* const own = ours(layout);
  return own != nullptr ? limit_share(*own) : 0;
}

double Row::best_ratio(Layout layout, const std::string& library) const {
  const Entry* const peer = best_peer(layout, library);
  return peer != nullptr ? ratio(*peer) : 0;
}

const Row* Table::find(const std::string& name) const {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

std::vector<std::string> Table::libraries() const {
  std::vector<std::string> result;
  for (const Row& row : rows) {
    for (const Entry& entry : row.entries) {
      const bool is_new = std::find(result.begin(), result.end(), entry.library) == result.end();
      if (is_new && entry.library != kOurs) result.push_back(entry.library);
    }
  }
  return result;
}

Json to_json(const Table& table) {
  Json rows = Json::array();
  for (const Row& row : table.rows) rows.push_back(row_json(row));
  return {{"cpu", table.cpu},
          {"backend", table.backend},
          {"isa", table.isa},
          {"versions", table.versions},
          {"bandwidths_gbs", table.bandwidths_gbs},
          {"core_share", table.core_share},
          {"rows", std::move(rows)}};
}

Result<Table> table_from_json(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    Table table;
    table.cpu = json.value("cpu", "");
    table.backend = json.value("backend", "");
    table.isa = json.value("isa", "");
    table.versions = json.value("versions", std::vector<std::string>());
    table.bandwidths_gbs = json.value("bandwidths_gbs", std::vector<double>());
    table.core_share = json.value("core_share", 0.0);
    for (const Json& row : json.at("rows")) table.rows.push_back(row_from(row));
    return table;
  } catch (const Json::exception& why) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{} is no table of the benchmark of peers: {}.", path, why.what()));
  }
}

void merge(Table& table, const Table& other) {
  for (const std::string& version : other.versions) {
    if (std::find(table.versions.begin(), table.versions.end(), version) == table.versions.end())
      table.versions.push_back(version);
  }
  for (Row& row : table.rows) {
    const Row* const source = other.find(row.name);
    if (source == nullptr) continue;
    for (Entry entry : source->entries) {
      if (entry.library == kOurs) continue;
      const Entry* const ours = source->ours(entry.layout);
      if (entry.ours_us <= 0 && ours != nullptr) entry.ours_us = ours->min_us;
      if (entry.is_valid() && entry.ours_us <= 0) entry.problem = "ours was not measured beside it";
      std::erase_if(row.entries,
                    [&](const Entry& e) { return e.name == entry.name && e.layout == entry.layout; });
      row.entries.push_back(std::move(entry));
    }
  }
}

}  // namespace convsmith::bench
