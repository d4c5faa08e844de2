// The schedules of a problem that are worth measuring. Where choose_schedule decides by rule, a search tries
// these: every form of codegen/schedule/schedule_forms.hpp, with sizes around those that the rules would
// give. A rough model puts them in order and drops what can't be fast. Called by `convsmith tune`.
#pragma once

#include <vector>

#include "codegen/target.hpp"
#include "frontend/problem.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith {

constexpr size_t kMostCandidates = 60;

// Distinct schedules that `apply` and `lower` take, the one of choose_schedule first, then the likely ones of
// each form first. A back end may still refuse one whose tile does not fit the registers.
std::vector<ir::Schedule> candidate_schedules(const Problem& problem, const Target& target);

}  // namespace convsmith
