// In the place of the readers of files in a build without CONVSMITH_MODELS.
#include "frontend/models/load_model.hpp"

namespace convsmith {

Result<void> check_model_files() {
  return make_error(ErrorCode::kUnavailable,
                    "This build can't read model files: it was made with CONVSMITH_MODELS=OFF.");
}

Result<LoadedModel> load_model_bytes(std::string_view, const std::string&, const LoadOptions&) {
  return tl::unexpected(check_model_files().error());
}

Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  return load_model_bytes({}, path, options);
}

}  // namespace convsmith
