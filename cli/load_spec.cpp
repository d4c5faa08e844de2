#include "cli/load_spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <limits>

#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "frontend/keras/json_value.hpp"
#include "frontend/keras/parse_value.hpp"
#include "frontend/models/architecture.hpp"
#include "frontend/models/foreign_files.hpp"
#include "frontend/models/load_model.hpp"
#include "ir/nest/nest_text.hpp"

namespace convsmith::cli {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 20;

bool is_file_suffix(const std::string& suffix) {
  for (const char* known : {".json", ".nest", ".vir", ".keras", ".h5", ".hdf5"})
    if (suffix == known) return true;
  return false;
}

// A name with a folder or with a suffix that is no number.
bool looks_like_path(const std::string& text) {
  const std::string suffix = suffix_of(text);
  return text.size() < 4096 && text.find_first_of(" =,") == std::string::npos &&
         (text.find('/') != std::string::npos ||
          (suffix.size() > 1 && suffix.find_first_not_of("0123456789", 1) != std::string::npos));
}

bool is_archive(std::string_view bytes) {
  return bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x89HDF\r\n\x1a\n");
}

// JSON that describes a model rather than one layer. Of text that is none, too, if Python reads it: what
// reads layers would take it, and models say where it is broken.
bool is_model_json(std::string_view text) {
  if (const auto value = read_json(text)) return models::is_model(*value);
  if (text.size() > kMaxTextBytes) return false;
  const auto python = parse_statement(text);
  return python && python->value.kind == Value::Kind::kDict && models::is_model(python->value);
}

// `path` is empty for text that was typed.
template <class T>
Result<Subject> as_subject(Result<T> result, const std::string& path) {
  if (result) return Result<Subject>(tl::in_place, std::move(*result));
  const Error error = in_file(path, result.error());
  return make_error(error.code, error.message);
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

Result<NestFile> read_nests(std::string_view text) {
  auto list = ir::parse_nests(text);
  if (!list) return tl::unexpected(list.error());
  NestFile file{{}, std::move(list->nests)};
  if (list->layer.empty()) return file;
  auto layer = parse_layer(list->layer, Rules::kAny);
  if (!layer) return tl::unexpected(layer.error());
  file.layer = std::move(layer->spec);
  return file;
}

Result<VirFile> read_programs(std::string_view text) {
  Result<VirFile> file = vir::parse_listings(text);
  if (!file) return file;
  for (const vir::Listing& listing : *file)
    if (const auto ok = vir::verify_alone(listing.program); !ok) return tl::unexpected(ok.error());
  return file;
}

// The first word that is no comment.
std::string_view first_word(std::string_view text) {
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (!text.starts_with('#')) return text.substr(0, text.find_first_of(" \t\r\n"));
    text.remove_prefix(std::min(text.find('\n'), text.size()));
  }
}

// Whether a text that explain printed is one that can be SPEC; its headings say what it is.
Result<void> check_stage(std::string_view text) {
  std::string_view first;
  for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
    std::string_view line = text.substr(at, text.find('\n', at) - at);
    if (!line.starts_with("# == ") && !line.starts_with("; == ")) continue;
    line.remove_prefix(5);
    const std::string_view stage = line.substr(0, line.find(' '));
    if (first.empty()) first = stage;
    if (stage != first) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("These are several stages that explain printed ({}, {}, ..); SPEC is one "
                                    "of them: spec, problem, nest or, but for run, vir.",
                                    first, stage));
    }
  }
  if (first == "schedule")
    return make_error(ErrorCode::kInvalidSpec,
                      "This is a schedule; give it to the layer that it is for, with --schedule FILE.");
  if (first != "graph" && first != "llvm" && first != "asm") return {};
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("This is the stage {} that explain printed, which is there to be read; SPEC "
                                "is one of the stages spec, problem, nest and, but for run, vir.",
                                first));
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
  if (!archive) {
    if (const Result<void> runs = check_stage(bytes); !runs)
      return as_subject(Result<ParsedLayer>(tl::unexpected(runs.error())), path);
    const std::string_view word = first_word(bytes);
    if (suffix == ".nest" || word == "nest" || word == "layer") return as_subject(read_nests(bytes), path);
    if (suffix == ".vir" || word == "vir") return as_subject(read_programs(bytes), path);
  }
  const bool json = is_json_object(bytes);
  if (archive || suffix == ".keras" || suffix == ".h5" || suffix == ".hdf5" ||
      (json && is_model_json(bytes))) {
    const auto foreign = archive ? std::nullopt : foreign_file(path, bytes);
    if (foreign) return make_error(ErrorCode::kInvalidData, foreign->text());
    if (!archive && !json) {
      return make_error(
          ErrorCode::kInvalidData,
          fmt::format("{} is no Keras model: it is neither a zip, an HDF5 nor a JSON file.", path));
    }
    if (const auto file = weights.empty() ? nullptr : open_file(weights); !file)
      return make_error(ErrorCode::kInvalidData, "--weights: " + file.error().message);
    return as_subject(read_model(bytes, path, options.rules, weights), path);
  }
  Result<ParsedLayer> layer = read_layer(bytes, options.rules);
  const auto foreign = layer || path.empty() ? std::nullopt : foreign_file(path, bytes);
  if (foreign) return make_error(ErrorCode::kInvalidData, foreign->text());
  return as_subject(std::move(layer), path);
}

}  // namespace

Error in_file(const std::string& path, const Error& error) {
  const bool named = path.empty() || error.message.find(path) != std::string::npos;
  return {error.code, named ? error.message : fmt::format("{}: {}", path, error.message)};
}

Result<Subject> load_subject(const CommonOptions& options, const std::string& weights) {
  const std::string& spec = options.spec;
  std::error_code code;
  const bool is_file = spec.size() < 4096 && std::filesystem::is_regular_file(spec, code);
  if (spec.size() < 4096 && std::filesystem::is_directory(spec, code))
    return make_error(ErrorCode::kInvalidData, foreign_folder(spec).text());
  const bool is_name = is_file || is_file_suffix(suffix_of(spec));
  if (!is_name && spec.find_first_of("({") != std::string::npos)
    return read_subject(spec, "", options, weights);
  if (!is_name && looks_like_path(spec) && !std::filesystem::exists(spec, code)) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The file '{}' does not exist; SPEC is the name of a .json, "
                                  ".keras, .h5, .nest or .vir file, or call text.",
                                  printable(spec)));
  }
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

std::string several_inputs(const ModelSpec& model) {
  const std::vector<std::string> names = input_names(model);
  return names.size() > 1 ? fmt::format("{}", fmt::join(names, ", ")) : "";
}

Result<LayerProblem> layer_problem_for(const LayerSpec& spec, const CommonOptions& options) {
  return make_for(spec, options, [](const auto&... arguments) { return make_layer_problem(arguments...); });
}

Result<Problem> problem_for(const LayerSpec& spec, const CommonOptions& options) {
  return make_for(spec, options, [](const auto&... arguments) { return make_problem(arguments...); });
}

}  // namespace convsmith::cli
