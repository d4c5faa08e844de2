#include "ir/nest/build_nest.hpp"

namespace convsmith::ir {

LoopNest build_nest(const Problem& problem) {
  LoopNest nest;
  nest.problem = problem;
  for (const Dim dim : {Dim::kSample, Dim::kGroup, Dim::kStep, Dim::kFilter, Dim::kTap, Dim::kChannel}) {
    nest.loops.push_back({dim, 1, Role::kSerial});
  }
  return nest;
}

}  // namespace convsmith::ir
