// The only file with heuristics: which schedule a problem gets on a target. Correctness never
// depends on it, since every schedule computes the same bits.
#pragma once

#include "codegen/schedule/schedule_forms.hpp"
#include "codegen/target.hpp"
#include "frontend/problem.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith {

// `weights_of`: where kernels for several targets read the same packed weights, the target for whose kernel
// their order is chosen; the others follow it.
ir::Schedule choose_schedule(const Problem& problem, const Target& target,
                             const Target* weights_of = nullptr);

// The same as a form.
ScheduleForm choose_form(const Problem& problem, const Target& target, const Target* weights_of = nullptr);

// Each form with the sizes that the problem would get in it, the chosen one first: where a search begins. The
// others need not suit the problem.
std::vector<ScheduleForm> all_forms(const Problem& problem, const Target& target);

}  // namespace convsmith
