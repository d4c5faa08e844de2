// `convsmith compile`: a layer or a model as an object, a library, a header, assembly: code that runs without
// convsmith.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/io/tensor.hpp"
#include "cli/shared_library.hpp"
#include "codegen/llvm_loader.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/aot/artifact.hpp"
#include "runtime/aot/artifact_name.hpp"
#include "runtime/compile.hpp"
#include "runtime/model.hpp"
#include "runtime/tuning.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

enum class Kind { kObject, kArchive, kShared, kHeader, kAssembly, kLlvm };
struct KindInfo {
  Kind kind;
  std::string_view name;
  std::string_view suffix;
};
constexpr KindInfo kKinds[] = {{Kind::kObject, "obj", ".o"},     {Kind::kArchive, "archive", ".a"},
                               {Kind::kShared, "shared", ".so"}, {Kind::kHeader, "header", ".h"},
                               {Kind::kAssembly, "asm", ".s"},   {Kind::kLlvm, "llvm", ".ll"}};

struct CompileArguments {
  CommonOptions common;
  std::string output;
  std::string weights;
  std::string name;
  std::vector<std::string> emit;
  std::vector<std::string> targets;
};

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

struct OutputFile {
  Kind kind;
  std::string path;
};

Result<std::vector<OutputFile>> find_files(const CompileArguments& arguments) {
  if (std::filesystem::path(arguments.output).filename().empty())
    return refuse(
        fmt::format("-o is '{}'; it must end with the name of a file.", printable(arguments.output)));
  const std::string suffix = suffix_of(arguments.output);
  std::vector<OutputFile> files;
  if (arguments.emit.empty()) {
    for (const KindInfo& info : kKinds) {
      if (info.suffix == suffix) files.push_back({info.kind, arguments.output});
    }
    if (!files.empty()) return files;
    return refuse(fmt::format(
        "-o is '{}'; its suffix must be .o, .a, .so, .h, .s or .ll, or --emit must say what to write.",
        printable(arguments.output)));
  }
  for (const std::string& word : arguments.emit) {
    const auto* const info =
        std::find_if(std::begin(kKinds), std::end(kKinds), [&](const KindInfo& k) { return k.name == word; });
    if (info == std::end(kKinds))
      return refuse(fmt::format("--emit names '{}'; it must be obj, archive, shared, header, asm or llvm.",
                                printable(word)));
    const auto is_same = [&](const OutputFile& file) { return file.kind == info->kind; };
    if (std::any_of(files.begin(), files.end(), is_same)) continue;
    const bool alone = arguments.emit.size() == 1 && info->suffix == suffix;
    files.push_back({info->kind, alone ? arguments.output : arguments.output + std::string(info->suffix)});
  }
  return files;
}

Result<std::vector<Isa>> find_targets(const CompileArguments& arguments) {
  if (arguments.targets.empty()) {
    std::vector<Isa> all = {Isa::kAvx512, Isa::kAvx2};
    if (arguments.common.backend == Backend::kXbyak) return all;
    if (load_llvm_module()) {
      all.push_back(Isa::kBaseline);
    } else {
      print_note("Without the LLVM back end the artifact has no code for CPUs that lack AVX2.");
    }
    return all;
  }
  std::vector<Isa> isas;
  for (const std::string& word : arguments.targets) {
    if (word == "avx2") {
      isas.push_back(Isa::kAvx2);
    } else if (word == "avx512") {
      isas.push_back(Isa::kAvx512);
    } else if (word == "baseline") {
      isas.push_back(Isa::kBaseline);
    } else if (word == "aarch64" || word == "aarch64-linux-gnu") {
      isas.push_back(Isa::kNeon);
    } else {
      return refuse(fmt::format(
          "--target names '{}'; it must be avx2, avx512, baseline or aarch64-linux-gnu.", printable(word)));
    }
  }
  return isas;
}

Result<ArtifactSource> layer_source(const LayerSpec& spec, const CompileArguments& arguments) {
  const Result<LayerProblem> problem = layer_problem_for(spec, arguments.common);
  if (!problem) return tl::unexpected(problem.error());
  const int64_t channels = problem->chain.front().channels;
  auto graph = ir::build_graph(spec, channels, arguments.common.rules);
  if (!graph) return tl::unexpected(graph.error());
  ArtifactSource source{std::move(*graph), to_call_text(spec), weight_shapes(spec, channels)};
  if (arguments.weights.empty()) return source;
  Result<std::vector<Tensor>> weights = read_weights(arguments.weights, source.weights);
  if (!weights) return tl::unexpected(weights.error());
  for (size_t i = 0; i < weights->size(); ++i) source.graph.arrays[i].data = std::move((*weights)[i].data);
  source.weights.clear();
  return source;
}

Result<ArtifactSource> find_source(const CompileArguments& arguments) {
  const Result<Subject> subject = load_subject(arguments.common, arguments.weights);
  if (!subject) return tl::unexpected(subject.error());
  if (const auto* layer = std::get_if<ParsedLayer>(&*subject)) return layer_source(layer->spec, arguments);
  const auto* const model = std::get_if<LoadedModelSpec>(&*subject);
  if (model == nullptr) return refuse("SPEC is a .nest or .vir file; compile takes layers and models.");
  if (!arguments.common.input_shape.empty())
    return refuse("--input-shape is for layers; a model's file says its own.");
  auto graph = optimized_graph(*model->spec, arguments.common.rules);
  if (!graph) return tl::unexpected(graph.error());
  return ArtifactSource{std::move(*graph), "model " + printable(model->spec->name), {}};
}

Result<std::vector<uint8_t>> contents(const OutputFile& file, const Artifact& artifact,
                                      const std::string& name) {
  const auto bytes = [](const std::string& text) { return std::vector<uint8_t>(text.begin(), text.end()); };
  switch (file.kind) {
    case Kind::kArchive: {
      const auto& module = load_llvm_module();
      if (!module) return tl::unexpected(module.error());
      return (*module)->make_archive(name + ".o", artifact.object);
    }
    case Kind::kHeader:
      return bytes(artifact.header);
    case Kind::kAssembly: {
      std::string all;
      for (const ArtifactVariant& variant : artifact.variants) {
        const auto text = artifact_assembly(variant);
        if (!text) return tl::unexpected(text.error());
        all += fmt::format("# {}: {}, by {}\n\n{}", name, isa_name(variant.isa),
                           backend_name(variant.backend), *text);
      }
      return bytes(all);
    }
    case Kind::kLlvm: {
      if (artifact.variants.size() > 1)
        return refuse(fmt::format("{} can hold one target; name it with --target.", file.path));
      const auto text = artifact_llvm_ir(artifact.variants[0]);
      if (!text) return tl::unexpected(text.error());
      return bytes(*text);
    }
    default:
      return artifact.object;
  }
}

// Those that were not there before go again where a later one can't be written.
Result<void> write_files(const std::vector<OutputFile>& files, const Artifact& artifact,
                         const std::string& name) {
  std::vector<std::vector<uint8_t>> bytes;
  for (const OutputFile& file : files) {
    auto made = contents(file, artifact, name);
    if (!made) return tl::unexpected(made.error());
    bytes.push_back(std::move(*made));
  }
  const bool is_arm = artifact.variants[0].isa == Isa::kNeon;
  std::vector<std::string> new_files;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string& path = files[i].path;
    if (access(path.c_str(), F_OK) != 0) new_files.push_back(path);
    const Result<void> written =
        files[i].kind == Kind::kShared
            ? link_shared(bytes[i], is_arm, path)
            : write_file(path, [&](int descriptor) {
                return write_bytes(descriptor, std::as_bytes(std::span(bytes[i])), path);
              });
    if (written) continue;
    for (const std::string& file : new_files) unlink(file.c_str());
    return written;
  }
  return {};
}

void print_report(const CompileArguments& arguments, const std::vector<OutputFile>& files,
                  const Artifact& artifact) {
  std::error_code code;
  Json json;
  json["name"] = arguments.name;
  for (const OutputFile& file : files)
    json["files"].push_back({{"path", file.path}, {"bytes", std::filesystem::file_size(file.path, code)}});
  for (const ArtifactVariant& variant : artifact.variants)
    json["variants"].push_back({{"isa", isa_name(variant.isa)},
                                {"backend", backend_name(variant.backend)},
                                {"text_bytes", variant.image.bytes.size()}});
  if (arguments.common.json)
    return fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  for (const Json& file : json["files"])
    fmt::print("{}  {} bytes\n", file["path"].get<std::string>(), file["bytes"].get<uint64_t>());
  for (const Json& variant : json["variants"])
    fmt::print("  {:<9} by {:<6} {} bytes of code\n", variant["isa"].get<std::string>(),
               variant["backend"].get<std::string>(), variant["text_bytes"].get<uint64_t>());
}

int compile_to_files(CompileArguments& arguments) {
  const std::string stem = std::filesystem::path(arguments.output).stem().string();
  const bool is_named = !arguments.name.empty();
  if (!is_named) arguments.name = artifact_name_for(stem);
  const auto files = find_files(arguments);
  if (!files) return report(files.error());
  for (const OutputFile& file : *files)
    if (const auto done = check_output("-o", file.path); !done) return report(done.error());
  const auto targets = find_targets(arguments);
  if (!targets) return report(targets.error());
  const auto source = find_source(arguments);
  if (!source) return report(source.error());
  note_foreign_tuning(arguments.common);
  const auto tuning = load_tuning(arguments.common.tuning);
  if (!tuning) return report(tuning.error());
  const auto artifact =
      compile_artifact(*source, {arguments.name, *targets, arguments.common.backend, tuning->get()});
  if (!artifact) return report(artifact.error());
  if (const auto done = write_files(*files, *artifact, arguments.name); !done) return report(done.error());
  if (!is_named && arguments.name != stem)
    print_note(fmt::format("The C functions begin with '{}_', after the file's name; --name gives another.",
                           arguments.name));
  print_report(arguments, *files, *artifact);
  return kOk;
}

}  // namespace

void add_compile(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("compile", "Write a layer or a model as an object, library or header to ship");
  const auto arguments = std::make_shared<CompileArguments>();
  add_spec(*command, arguments->common, true, "");
  command
      ->add_option("-o,--output", arguments->output,
                   "The file to write; with several of --emit, its name without suffix")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("--emit", arguments->emit,
                   "What to write: obj (.o), archive (.a), shared (.so), header (.h), asm (.s), llvm (.ll); "
                   "several with "
                   "commas (default: by the suffix of FILE)")
      ->delimiter(',')
      ->type_name("KIND");
  command
      ->add_option(
          "--target", arguments->targets,
          "For which CPUs: avx2, avx512, baseline (any x86-64), several with commas, picked at run time; or "
          "aarch64-linux-gnu (default: all of x86-64)")
      ->delimiter(',')
      ->type_name("TARGET");
  command
      ->add_option("--name", arguments->name,
                   "What the C functions begin with (default: the stem of FILE, made an identifier)")
      ->type_name("NAME");
  command
      ->add_option("--weights", arguments->weights,
                   "A file with weights (.npz, of models also .weights.h5) to travel with the code; without "
                   "it a layer "
                   "gets a function that packs them, a model has its file's")
      ->type_name("FILE");
  add_language_options(*command, arguments->common);
  add_tuning_option(*command, arguments->common);
  command->footer(
      "The C functions are declared and explained in the header.\n"
      "Examples:\n  convsmith compile model.keras --emit=obj,header -o ecg\n  convsmith compile "
      "\"Conv1D(32, 3, input_shape=(None, 128))\" -o conv.so --target avx2\n  convsmith compile model.keras "
      "-o "
      "ecg_pi.o --target aarch64-linux-gnu");
  command->callback([arguments, &exit_code] { exit_code = compile_to_files(*arguments); });
}

}  // namespace convsmith::cli
