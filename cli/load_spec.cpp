#include "cli/load_spec.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <limits>

#include "cli/common_options.hpp"
#include "cli/files.hpp"
#include "codegen/vir_text.hpp"
#include "codegen/vir_verify.hpp"
#include "frontend/foreign_files.hpp"
#include "frontend/json_value.hpp"
#include "frontend/models/architecture.hpp"
#include "frontend/models/load_model.hpp"
#include "ir/nest_text.hpp"

namespace convsmith::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 20;

bool is_file_suffix(const std::string& suffix) {
  for (const char* known : {".json", ".nest", ".vir", ".keras", ".h5", ".hdf5"})
    if (suffix == known) return true;
  return false;
}

bool is_archive(std::string_view bytes) {
  return bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x89HDF\r\n\x1a\n");
}

// JSON that describes a model rather than one layer. Text that is no JSON is nobody's, and no model.
bool is_model_json(std::string_view text) {
  const auto value = read_json(text);
  if (!value) return false;
  return models::is_model(*value);
}

// Errors of parsers do not know the file.
template <class T>
Result<Subject> in_file(Result<T> result, const std::string& path) {
  if (result) return Result<Subject>(tl::in_place, std::move(*result));
  const std::string& message = result.error().message;
  const bool named = path.empty() || message.find(path) != std::string::npos;
  return make_error(result.error().code, named ? message : fmt::format("{}: {}", path, message));
}

Result<LoadedModelSpec> read_model(std::string_view bytes, const std::string& path, Rules rules,
                                   const std::string& weights) {
  const bool plain_json = weights.empty() && !is_archive(bytes);
  Result<LoadedModel> loaded = plain_json ? parse_model_json(bytes, rules)
                                          : load_model_bytes(bytes, path.empty() ? "SPEC" : path,
                                                             {.rules = rules, .weights_path = weights});
  if (!loaded) return tl::unexpected(loaded.error());
  for (const std::string& note : loaded->notes) print_note(note);
  return LoadedModelSpec{std::make_shared<const ModelSpec>(std::move(loaded->spec)),
                         std::move(loaded->notes)};
}

Result<ParsedLayer> read_layer(std::string_view text, Rules rules) {
  Result<ParsedLayer> layer = parse_layer(text, rules);
  if (!layer) return layer;
  for (const std::string& note : layer->notes) print_note(note);
  return layer;
}

Result<vir::Program> read_program(std::string_view text) {
  Result<vir::Program> program = vir::parse(text);
  if (!program) return program;
  if (const auto ok = vir::verify_alone(*program); !ok) return tl::unexpected(ok.error());
  return program;
}

// `path` is empty for text that was typed.
Result<Subject> read_subject(const std::string& bytes, const std::string& path, const CommonOptions& options,
                             const std::string& weights) {
  const std::string suffix = path.empty() ? "" : suffix_of(path);
  const bool archive = is_archive(bytes);
  if (!archive && bytes.size() > kMaxTextBytes && !is_model_json(bytes)) {
    if (const auto foreign = foreign_file(path, bytes))
      return make_error(ErrorCode::kInvalidData, foreign->text());
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The file {} has {} bytes; at most {} are read of what is no model.", path,
                                  bytes.size(), kMaxTextBytes));
  }
  if (!archive && suffix == ".nest") return in_file(ir::parse_nest(bytes), path);
  if (!archive && suffix == ".vir") return in_file(read_program(bytes), path);
  const bool json = is_json_object(bytes);
  if (archive || suffix == ".keras" || suffix == ".h5" || suffix == ".hdf5" ||
      (json && is_model_json(bytes))) {
    if (!archive && !json) {
      if (const auto foreign = foreign_file(path, bytes))
        return make_error(ErrorCode::kInvalidData, foreign->text());
      return make_error(
          ErrorCode::kInvalidData,
          fmt::format("{} is no Keras model: it is neither a zip, an HDF5 nor a JSON file.", path));
    }
    if (const auto file = weights.empty() ? nullptr : open_file(weights); !file)
      return make_error(ErrorCode::kInvalidData, "--weights: " + file.error().message);
    return in_file(read_model(bytes, path, options.rules, weights), path);
  }
  Result<ParsedLayer> layer = read_layer(bytes, options.rules);
  const auto foreign = layer || path.empty() || json ? std::nullopt : foreign_file(path, bytes);
  if (foreign) return make_error(ErrorCode::kInvalidData, foreign->text());
  return in_file(std::move(layer), path);
}

}  // namespace

Result<Subject> load_subject(const CommonOptions& options, const std::string& weights) {
  const std::string& spec = options.spec;
  std::error_code code;
  const bool is_file = spec.size() < 4096 && std::filesystem::is_regular_file(spec, code);
  if (spec.size() < 4096 && std::filesystem::is_directory(spec, code))
    return make_error(ErrorCode::kInvalidData, foreign_folder(spec).text());
  const bool is_name = is_file || is_file_suffix(suffix_of(spec));
  if (!is_name && spec.find_first_of("({") != std::string::npos)
    return read_subject(spec, "", options, weights);
  if (!is_name) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("SPEC is '{}'; it must be call text such as \"Conv1D(32, 3)\" or the name of a .json, "
                    ".keras, .h5, .nest or .vir file.",
                    printable(spec)));
  }
  const Result<std::string> bytes = read_text(spec, std::numeric_limits<uint64_t>::max());
  if (!bytes) return tl::unexpected(bytes.error());
  return read_subject(*bytes, spec, options, weights);
}

Result<Subject> load_subject_with_model_weights(const CommonOptions& options, const std::string& weights) {
  Result<Subject> subject = load_subject(options, weights);
  if (subject && !weights.empty() && !std::holds_alternative<LoadedModelSpec>(*subject)) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("--weights is {}, but --weights is for models here, and SPEC is none.", weights));
  }
  return subject;
}

Result<LoadedSpec> load_spec(const CommonOptions& options) {
  Result<Subject> subject = load_subject(options);
  if (!subject) return tl::unexpected(subject.error());
  if (auto* layer = std::get_if<ParsedLayer>(&*subject))
    return Result<LoadedSpec>(tl::in_place, std::move(*layer));
  if (auto* nest = std::get_if<ir::LoopNest>(&*subject))
    return Result<LoadedSpec>(tl::in_place, std::move(*nest));
  if (auto* program = std::get_if<vir::Program>(&*subject))
    return Result<LoadedSpec>(tl::in_place, std::move(*program));
  return make_error(
      ErrorCode::kInvalidSpec,
      fmt::format("SPEC is {}, a whole model; this command takes a layer, a .nest or a .vir file.",
                  printable(options.spec)));
}

namespace {

// `make` is one of make_problem and make_layer_problem.
template <class Make>
auto make_for(const LayerSpec& spec, const CommonOptions& options, const Make& make)
    -> decltype(make(spec, options.rules)) {
  if (!options.input_shape.empty()) {
    Shape shape{spec.batch_size};
    shape.insert(shape.end(), options.input_shape.begin(), options.input_shape.end());
    return make(spec, shape, options.rules);
  }
  auto problem = make(spec, options.rules);
  if (!problem && spec.input_shape.empty())
    problem.error().message += " Give one, for example with --input-shape None,128.";
  return problem;
}

}  // namespace

Result<LayerProblem> layer_problem_for(const LayerSpec& spec, const CommonOptions& options) {
  return make_for(spec, options, [](const auto&... arguments) { return make_layer_problem(arguments...); });
}

Result<Problem> problem_for(const LayerSpec& spec, const CommonOptions& options) {
  return make_for(spec, options, [](const auto&... arguments) { return make_problem(arguments...); });
}

}  // namespace convsmith::cli
