#include "frontend/models/load_model.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "frontend/keras/json_value.hpp"
#include "frontend/keras/value.hpp"
#include "frontend/models/architecture.hpp"
#include "frontend/models/build_spec.hpp"
#include "frontend/models/foreign_files.hpp"
#include "frontend/models/h5_helper.hpp"
#include "frontend/models/h5_tree.hpp"
#include "frontend/models/weights.hpp"
#include "frontend/models/zip_file.hpp"

namespace convsmith {
namespace {

using namespace models;

enum class FileKind { kZip, kHdf5, kJson, kOther };

FileKind kind_of(std::string_view bytes) {
  if (bytes.starts_with("PK\x03\x04")) return FileKind::kZip;
  if (bytes.starts_with("\x89HDF\r\n\x1a\n")) return FileKind::kHdf5;
  return is_json_object(bytes) ? FileKind::kJson : FileKind::kOther;
}

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return make_error(ErrorCode::kInvalidData, foreign_folder(path).text());
  if (!std::filesystem::exists(path, error) && !error)
    return make_error(ErrorCode::kIo, fmt::format("The file {} does not exist.", quote(path)));
  if (!std::filesystem::is_regular_file(path, error))
    return make_error(ErrorCode::kIo, fmt::format("{} is no file that can be read.", quote(path)));
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::filesystem::file_size(path, error), '\0');
  if (error || !file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    return make_error(ErrorCode::kIo, fmt::format("The file {} can't be read.", quote(path)));
  return bytes;
}

// What a file has of a model: the text of its architecture, and weights.
struct Parts {
  std::optional<std::string> architecture;
  std::string keras_version;
  std::optional<H5Node> weights;
};

Result<Parts> read_keras_archive(std::string_view bytes, const std::string& name, bool with_weights) {
  auto members = read_zip(bytes, {"config.json", "metadata.json", "model.weights.h5", "variables.h5"}, name);
  if (!members) return tl::unexpected(members.error());
  Parts out;
  const auto config = members->find("config.json");
  if (config == members->end()) {
    if (const auto foreign = foreign_file(name, bytes))
      return make_error(ErrorCode::kInvalidData, foreign->text());
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The zip file {} is no Keras model: it has no config.json.", quote(name)));
  }
  out.architecture = std::move(config->second);
  if (const auto metadata = members->find("metadata.json"); metadata != members->end()) {
    const auto value = read_json(metadata->second);
    const Value* version = value ? value->find("keras_version") : nullptr;
    if (version != nullptr && version->kind == Value::Kind::kString) out.keras_version = version->text;
  }
  if (!with_weights) return out;
  auto weights = members->find("model.weights.h5");
  if (weights == members->end()) weights = members->find("variables.h5");
  if (weights == members->end())
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The zip file {} has no model.weights.h5.", quote(name)));
  Result<H5Node> root = read_h5(weights->second, fmt::format("{}/{}", name, weights->first));
  if (!root) return tl::unexpected(root.error());
  out.weights = std::move(*root);
  return out;
}

Result<Parts> read_hdf5(std::string_view bytes, const std::string& name) {
  Result<H5Node> root = read_h5(bytes, name);
  if (!root) return tl::unexpected(root.error());
  Parts out;
  if (const auto config = root->strings("model_config"); config && config->size() == 1)
    out.architecture = config->front();
  const H5Node* const places[] = {&*root, root->child("model_weights")};
  for (const H5Node* node : places) {
    const auto version = node != nullptr ? node->strings("keras_version") : std::nullopt;
    if (version && version->size() == 1) out.keras_version = version->front();
  }
  out.weights = std::move(*root);
  return out;
}

Result<Parts> read_parts(std::string_view bytes, const std::string& name, bool with_weights) {
  const FileKind kind = kind_of(bytes);
  if (kind == FileKind::kZip) return read_keras_archive(bytes, name, with_weights);
  if (kind == FileKind::kHdf5) return read_hdf5(bytes, name);
  if (const auto foreign = foreign_file(name, bytes))
    return make_error(ErrorCode::kInvalidData, foreign->text());
  if (kind == FileKind::kJson) return Parts{std::string(bytes), {}, std::nullopt};
  return make_error(
      ErrorCode::kInvalidData,
      fmt::format("{} is no Keras model: it is neither a zip, an HDF5 nor a JSON file.", quote(name)));
}

Result<LoadedModel> load(Parts parts, const LoadOptions& options) {
  if (!parts.architecture) {
    return make_error(
        ErrorCode::kInvalidData,
        "The HDF5 file has no `model_config`, so it holds weights only; load the model's JSON and "
        "give this file as its weights (weights_path, --weights).");
  }
  if (!options.weights_path.empty()) {
    Result<std::string> bytes = read_file(options.weights_path);
    if (!bytes) return tl::unexpected(bytes.error());
    Result<Parts> other = read_parts(*bytes, options.weights_path, true);
    if (!other) {
      const auto foreign = foreign_file(options.weights_path, *bytes);
      if (!foreign) return tl::unexpected(other.error());
      return make_error(ErrorCode::kInvalidData,
                        foreign->what +
                            " The weights of a whole model are read from .weights.h5, .h5 and .keras "
                            "files; arrays in .npz are for a single layer.");
    }
    if (!other->weights) {
      return make_error(ErrorCode::kInvalidData,
                        fmt::format("The file {} has no weights; expected an HDF5 or .keras file.",
                                    quote(options.weights_path)));
    }
    parts.weights = std::move(other->weights);
  }
  Result<std::unique_ptr<Architecture>> architecture =
      read_architecture(*parts.architecture, parts.keras_version);
  if (!architecture) return tl::unexpected(architecture.error());
  Result<LoadedModel> out = build_spec(**architecture, options.rules, options.partial);
  if (!out || !parts.weights || !out->missing.empty()) return out;
  Result<void> done = read_weights(**architecture, std::move(*parts.weights), out->spec, out->notes);
  if (!done) return tl::unexpected(done.error());
  return out;
}

}  // namespace

Result<void> check_model_files() {
  const Result<std::string> helper = ask_h5_helper(" ");  // it greets before it finds that this is no HDF5
  return helper ? Result<void>() : tl::unexpected(helper.error());
}

Result<LoadedModel> load_model_bytes(std::string_view bytes, const std::string& name,
                                     const LoadOptions& options) {
  Result<Parts> parts = read_parts(bytes, name, options.weights_path.empty());
  if (!parts) return tl::unexpected(parts.error());
  return load(std::move(*parts), options);
}

Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options) {
  Result<std::string> bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  return load_model_bytes(*bytes, path, options);
}

}  // namespace convsmith
