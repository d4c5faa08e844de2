#include "bench/shapes.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "frontend/make_problem.hpp"

namespace convsmith::bench {

namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

// "valid", "same", "causal", "explicit:LEFT:RIGHT"
void set_padding(LayerSpec& spec, const std::string& text) {
  long long left = 0;
  long long right = 0;
  if (text == "same") {
    spec.padding = Padding::kSame;
  } else if (text == "causal") {
    spec.padding = Padding::kCausal;
  } else if (std::sscanf(text.c_str(), "explicit:%lld:%lld", &left, &right) == 2) {
    spec.padding = Padding::kExplicit;
    spec.pad_left = left;
    spec.pad_right = right;
  } else if (text != "valid") {
    give_up("unknown padding " + text);
  }
}

}  // namespace

LayerClass layer_class(const Shape1d& shape) {
  const Problem problem = make_problem(shape.spec, Rules::kAny).value();
  if (problem.transposed) return LayerClass::kTransposed;
  if (problem.output_steps(shape.steps) <= 4) return LayerClass::kOneStep;
  if (problem.groups > 1)
    return problem.group_channels() == 1 ? LayerClass::kDepthwise : LayerClass::kGrouped;
  if (problem.filters == 1) return LayerClass::kOneFilter;
  if (problem.filters <= 8) return LayerClass::kFewFilters;
  if (problem.channels <= 4) return LayerClass::kStem;
  if (std::min(problem.channels, problem.filters) <= 32) return LayerClass::kSmallChannels;
  return LayerClass::kDense;
}

std::string class_name(LayerClass layer_class) {
  constexpr std::array<const char*, kLayerClasses> kNames = {"transposed", "one step",       "depthwise",
                                                             "grouped",    "one filter",     "few filters",
                                                             "stem",       "small channels", "dense"};
  return kNames[static_cast<size_t>(layer_class)];
}

std::vector<Shape1d> read_shapes(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) give_up("no table of shapes at " + path);
  const std::vector<std::string> names = cells_of(line);
  std::vector<Shape1d> shapes;
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = cells_of(line);
    std::map<std::string, std::string> row;
    for (size_t i = 0; i < names.size() && i < cells.size(); ++i) row[names[i]] = cells[i];
    const auto number = [&](const char* name) { return std::strtoll(row[name].c_str(), nullptr, 10); };
    Shape1d shape{row["name"], number("batch"), number("steps"), {}};
    if (row["op"] == "conv1d_transpose") {
      shape.spec.kind = LayerKind::kConv1DTranspose;
    } else if (row["op"] != "conv1d") {
      give_up("unknown op " + row["op"]);
    }
    shape.spec.filters = number("filters");
    shape.spec.kernel_size = number("kernel_size");
    shape.spec.strides = number("strides");
    shape.spec.dilation_rate = number("dilation_rate");
    shape.spec.groups = number("groups");
    shape.spec.input_shape = {std::nullopt, number("in_channels")};
    set_padding(shape.spec, row["padding"]);
    shapes.push_back(std::move(shape));
  }
  return shapes;
}

}  // namespace convsmith::bench
