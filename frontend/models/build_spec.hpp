// From a tree of models to the flat ModelSpec: ops are bound, nested models inlined (a shared one once per
// call, with one set of layers), calls brought into topological order. Called by load_model.
#pragma once

#include "frontend/models/architecture.hpp"
#include "frontend/models/load_model.hpp"

namespace convsmith::models {

// Sets LayerEntry::spec_index in the tree. Weights stay empty. `partial` as in LoadOptions.
Result<LoadedModel> build_spec(Architecture& architecture, Rules rules, bool partial = false);

}  // namespace convsmith::models
