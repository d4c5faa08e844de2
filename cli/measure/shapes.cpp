#include "cli/measure/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "cli/io/csv_rows.hpp"
#include "cli/io/files.hpp"

namespace convsmith::cli {

namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 20;
constexpr int64_t kMostSize = int64_t{1} << 40;
constexpr const char* kColumns[] = {"name",          "op",      "batch",       "steps",
                                    "in_channels",   "filters", "kernel_size", "strides",
                                    "dilation_rate", "groups",  "padding"};

// A size below 2^40.
std::optional<int64_t> parse_size(std::string_view text) {
  int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size() || size < 0 || size > kMostSize)
    return std::nullopt;
  return size;
}

// "valid", "same", "causal", "explicit:LEFT:RIGHT"; false if it is none.
bool set_padding(LayerSpec& spec, std::string_view text) {
  if (text == "valid") return true;
  if (text == "same") spec.padding = Padding::kSame;
  if (text == "causal") spec.padding = Padding::kCausal;
  if (text == "same" || text == "causal") return true;
  constexpr std::string_view kExplicit = "explicit:";
  if (!text.starts_with(kExplicit)) return false;
  text.remove_prefix(kExplicit.size());
  const size_t colon = text.find(':');
  const auto left = parse_size(text.substr(0, colon));
  const auto right = colon == text.npos ? std::nullopt : parse_size(text.substr(colon + 1));
  if (!left || !right) return false;
  spec.padding = Padding::kExplicit;
  spec.pad_left = *left;
  spec.pad_right = *right;
  return true;
}

// What one row says, by column; the first thing that is wrong with it.
Result<ShapeRow> read_row(std::map<std::string, std::string> cells, const std::string& place) {
  const auto refuse = [&](const char* column, const char* legal) {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {} is '{}'; it must be {}.", place, column,
                                                           printable(cells[column]), legal));
  };
  ShapeRow row;
  row.name = cells["name"];
  LayerSpec& spec = row.spec;
  int64_t channels = 0;
  const std::pair<const char*, int64_t*> sizes[] = {{"batch", &row.batch},
                                                    {"steps", &row.steps},
                                                    {"in_channels", &channels},
                                                    {"filters", &spec.filters},
                                                    {"kernel_size", &spec.kernel_size},
                                                    {"strides", &spec.strides},
                                                    {"dilation_rate", &spec.dilation_rate},
                                                    {"groups", &spec.groups}};
  for (const auto& [column, size] : sizes) {
    const auto found = parse_size(cells[column]);
    if (!found || *found == 0) return refuse(column, "a whole number from 1 to 2^40");
    *size = *found;
  }
  spec.input_shape = {std::nullopt, channels};
  if (cells["op"] == "conv1d_transpose") {
    spec.kind = LayerKind::kConv1DTranspose;
  } else if (cells["op"] != "conv1d") {
    return refuse("op", "conv1d or conv1d_transpose");
  }
  if (!set_padding(spec, cells["padding"]))
    return refuse("padding", "valid, same, causal or explicit:LEFT:RIGHT");
  return row;
}

}  // namespace

Result<std::vector<ShapeRow>> read_shapes(const std::string& path) {
  const auto text = read_text(path, kMostBytes);
  if (!text) return tl::unexpected(text.error());
  const std::string_view table = without_byte_order_mark(*text);
  CsvRows lines(table, find_separator(table));
  CsvRow names;
  lines.next(names);
  for (const char* const column : kColumns) {
    const auto is_column = [&](const CsvCell& cell) { return cell.text == column; };
    if (std::any_of(names.cells.begin(), names.cells.end(), is_column)) continue;
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("{} is no table of shapes: its first line has no column '{}'.", path, column));
  }
  std::vector<ShapeRow> rows;
  for (CsvRow line; lines.next(line);) {
    std::map<std::string, std::string> row;
    for (size_t i = 0; i < names.cells.size() && i < line.cells.size(); ++i)
      row[std::string(names.cells[i].text)] = line.cells[i].text;
    auto read = read_row(std::move(row), fmt::format("{}, line {}", path, line.line));
    if (!read) return tl::unexpected(read.error());
    rows.push_back(std::move(*read));
  }
  if (rows.empty())
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{} has no rows of shapes behind its first line.", path));
  return rows;
}

}  // namespace convsmith::cli
