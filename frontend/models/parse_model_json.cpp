#include "frontend/models/architecture.hpp"
#include "frontend/models/build_spec.hpp"
#include "frontend/models/load_model.hpp"

namespace convsmith {

Result<LoadedModel> parse_model_json(std::string_view text, Rules rules) {
  auto architecture = models::read_architecture(text, {});
  if (!architecture) return tl::unexpected(architecture.error());
  return models::build_spec(**architecture, rules);
}

}  // namespace convsmith
