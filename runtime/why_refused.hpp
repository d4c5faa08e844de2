// What a status of run means for one call, as a sentence that names the layer and the numbers that would do.
// Called where a status becomes an error: by the C functions, layer objects and the command line.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "convsmith/convsmith.hpp"
#include "convsmith/model.hpp"

namespace convsmith {

std::string why_refused(const CompiledLayer& layer, RunStatus status, int64_t steps);
std::string why_refused(const CompiledModel& model, RunStatus status, int64_t batch,
                        std::span<const int64_t> steps);

}  // namespace convsmith
