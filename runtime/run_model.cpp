#include "runtime/run_model.hpp"

#include <fmt/format.h>

namespace convsmith {

Result<Tensor> run_model(const ModelSpec& model, const Tensor&) {
  const std::string_view name = model.layers.size() > 1 ? model.layers[1].class_name : "InputLayer";
  return make_error(ErrorCode::kUnsupported, fmt::format("Layer {} cannot be run on its own yet.", name));
}

}  // namespace convsmith
