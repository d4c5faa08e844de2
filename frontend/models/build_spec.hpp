// From a tree of models to the flat ModelSpec: ops are bound, nested models inlined (a shared one once per
// call, with one set of layers), calls brought into topological order. Called by load_model.
#pragma once

#include <string>
#include <vector>

#include "frontend/bind_context.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/architecture.hpp"

namespace convsmith::models {

// Sets LayerEntry::spec_index in the tree. Weights stay empty.
Result<ModelSpec> build_spec(Architecture& architecture, Rules rules, std::vector<std::string>& notes);

}  // namespace convsmith::models
