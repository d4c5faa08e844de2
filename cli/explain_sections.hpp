// One stage of what `explain` shows, as text and as JSON. The text of a stage that can run is a file for run,
// compare and verify: what is not that stage itself stands behind '#'. Used by explain.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/common_options.hpp"
#include "cli/pipeline.hpp"
#include "codegen/target.hpp"

namespace convsmith::cli {

struct Section {
  std::string text;
  nlohmann::ordered_json json;
};

// Of what SPEC is as a whole; nullopt where it has no such stage. `asked`: also a graph of a single pass.
std::optional<Section> top_section(std::string_view stage, const Pipeline& pipeline, bool asked);

// Of a unit; nullopt where it begins behind that stage or ended before it. `backend` is the caller's.
Result<std::optional<Section>> unit_section(std::string_view stage, const Unit& unit, const Target& target,
                                            Backend backend);

}  // namespace convsmith::cli
