// `convsmith explain`: every stage between the text of a layer, or the file of a model, and its machine code.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/explain_sections.hpp"
#include "cli/file_isa.hpp"
#include "cli/io/files.hpp"
#include "cli/load_spec.hpp"
#include "cli/pipeline.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kStages = {"spec",     "problem", "graph", "nest",
                                                     "schedule", "vir",     "llvm",  "asm"};

struct ExplainArguments {
  CommonOptions common;
  std::string weights;
  std::vector<std::string> stages = {"all"};
  int pass = 0;  // from 1; 0: all
};

Result<std::vector<std::string_view>> wanted_stages(const std::vector<std::string>& words) {
  std::vector<std::string_view> stages;
  for (const std::string& word : words) {
    if (word == "all") return std::vector<std::string_view>(kStages.begin(), kStages.end());
    const auto known = std::find(kStages.begin(), kStages.end(), word);
    if (known == kStages.end()) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format(
              "--stage is '{}'; it must be spec, problem, graph, nest, schedule, vir, llvm, asm or all.",
              word));
    }
    stages.push_back(*known);
  }
  // In the order of the pipeline, each once.
  std::sort(stages.begin(), stages.end(), [](std::string_view a, std::string_view b) {
    return std::find(kStages.begin(), kStages.end(), a) < std::find(kStages.begin(), kStages.end(), b);
  });
  stages.erase(std::unique(stages.begin(), stages.end()), stages.end());
  return stages;
}

// The instruction set to explain for; the CPU need not have it.
Result<const Target*> find_target(const CommonOptions& options, const Subject& spec) {
  Isa isa = options.isa;
  if (const auto* file = std::get_if<VirFile>(&spec)) isa = isa_of(*file, isa);
  if (const auto* file = std::get_if<NestFile>(&spec)) isa = isa_of(*file, isa);
  // An instruction set that this CPU lacks can be explained, but not one that the back end never makes.
  const bool never = options.backend == Backend::kXbyak && isa == Isa::kBaseline;
  if (isa != Isa::kAuto && !never) return &host_target(isa);
  const Result<Choice> choice = choose_backend(options.backend, isa);
  if (!choice) return tl::unexpected(choice.error());
  return &host_target(choice->isa);
}

// What a stage is good for that is not SPEC for another command; empty where it is. Two back ends make
// assembly, and of each it is something else. `is_one_of_several`: units.
std::string_view use_of(std::string_view stage, const Section& section, bool is_one_of_several) {
  if (stage == "graph") return "to read: run, compare and verify take SPEC itself";
  if (stage == "schedule") {
    return is_one_of_several ? "to read: --schedule is for a layer that is one loop nest"
                             : "for --schedule, as text or as the name of a file";
  }
  if (stage == "llvm") return "to read, or for LLVM's own tools";
  if (stage != "asm") return "";
  return section.json["backend"] == "llvm" ? "assembler source, which an assembler takes as a .s file"
                                           : "a listing to read, of offsets and instructions, which no "
                                             "assembler takes: --backend llvm makes source";
}

// Prints stages, or collects them as JSON. Headings are comments, so that the output of one stage is a file.
class Printer {
 public:
  // `inputs`: the names of a model's, where it has several.
  Printer(const ExplainArguments& arguments, const Target& target, bool all, std::string inputs)
      : arguments_(arguments), target_(target), all_(all), inputs_(std::move(inputs)) {}

  // A back end that is not there is one sentence among others, and a failure only where its stage was asked
  // for by name; so is a stage that SPEC does not have. `error`: what went wrong before, behind all of it.
  int print(const std::vector<std::string_view>& stages, const Pipeline& pipeline,
            const std::optional<Error>& error) {
    std::vector<std::string_view> shown;
    alone_ = stages.size() == 1;
    for (const std::string_view stage : stages) {
      const std::optional<Section> section = top_section(stage, pipeline, !all_);
      if (!section) continue;
      shown.push_back(stage);
      add(json_, stage, "", *section);
    }
    // The nests of a layer that has several are a file of that layer.
    const bool whole = pipeline.layer && pipeline.units.size() > 1 && arguments_.pass == 0;
    if (whole && alone_ && stages.front() == "nest" && !arguments_.common.json)
      fmt::print("layer {}\n\n", to_call_text(pipeline.layer->spec));
    for (const Unit& unit : pipeline.units) print_unit(stages, unit, pipeline, shown);
    if (error) fail(*error);
    for (const std::string_view stage : stages) {
      const bool missing = std::find(shown.begin(), shown.end(), stage) == shown.end();
      if (!missing || all_ || exit_code_ != kOk) continue;
      fail({ErrorCode::kInvalidSpec,
            fmt::format("--stage is {}, and {} has no such stage.", stage, arguments_.common.spec)});
    }
    if (arguments_.common.json && !json_.empty())
      fmt::print("{}\n", json_.dump(2, ' ', false, Json::error_handler_t::replace));
    return exit_code_;
  }

 private:
  // Says it once.
  void fail(const Error& error) {
    if (!failed_.insert(error.message).second) return;
    exit_code_ = report(error);
    if (arguments_.common.json) json_["error"] = error.message;
  }

  void add(Json& json, std::string_view stage, const std::string& unit, const Section& section) {
    if (arguments_.common.json) json[std::string(stage)] = section.json;
    if (arguments_.common.json) return;
    const char comment = stage == "llvm" ? ';' : '#';
    const bool ended = section.text.ends_with('\n');
    fmt::print("{} == {}{}{} ==\n", comment, stage, unit.empty() ? "" : " of ", without_controls(unit));
    const std::string_view use = alone_ ? use_of(stage, section, !unit.empty()) : "";
    if (!use.empty()) fmt::print("{} {}\n", comment, use);
    if (stage == "graph" && !inputs_.empty())
      fmt::print("# inputs, in this order: {}\n", without_controls(inputs_));
    fmt::print("{}{}\n", without_controls(section.text), ended ? "" : "\n");
  }

  void print_unit(const std::vector<std::string_view>& stages, const Unit& unit, const Pipeline& pipeline,
                  std::vector<std::string_view>& shown) {
    Json passes{{"name", unit.name}};
    Json& json = unit.name.empty() ? json_ : passes;
    for (const std::string_view stage : stages) {
      // The problem of a layer that is one nest has been shown.
      if (stage == "problem" && pipeline.problem && unit.name.empty()) continue;
      Result<std::optional<Section>> section = unit_section(stage, unit, target_, arguments_.common.backend);
      if (section && !section->has_value()) continue;
      shown.push_back(stage);
      if (section) {
        add(json, stage, unit.name, **section);
      } else if (all_ && !unit.error) {
        const std::string& message = section.error().message;
        add(json, stage, unit.name, {fmt::format("# {}\n", message), message});
      } else {
        fail(section.error());
      }
    }
    if (!unit.name.empty()) json_["passes"].push_back(std::move(passes));
  }

  const ExplainArguments& arguments_;
  const Target& target_;
  bool all_;
  std::string inputs_;
  bool alone_ = false;
  Json json_;
  std::set<std::string> failed_;
  int exit_code_ = kOk;
};

Depth depth_of(const std::vector<std::string_view>& stages, int pass) {
  if (pass != 0 || std::find(kStages.begin(), kStages.end(), stages.back()) > kStages.begin() + 2)
    return Depth::kUnits;
  if (stages.back() == "graph") return Depth::kGraph;
  return stages.back() == "problem" ? Depth::kProblem : Depth::kSpec;
}

int explain(const ExplainArguments& arguments) {
  auto stages = wanted_stages(arguments.stages);
  if (!stages) return report(stages.error());
  if (const auto done = check_unused(arguments.common, {{"--threads", "explain runs nothing"}}); !done)
    return report(done.error());
  note_foreign_tuning(arguments.common);
  Result<Subject> subject = load_subject_with_model_weights(arguments.common, arguments.weights);
  if (!subject) return report(subject.error());
  const Result<const Target*> target = find_target(arguments.common, *subject);
  if (!target) return report(target.error());
  bool all = stages->size() == kStages.size();
  const auto* const model = std::get_if<LoadedModelSpec>(&*subject);
  const bool is_model = model != nullptr;
  const std::string inputs = is_model ? several_inputs(*model->spec) : "";
  // All stages of all passes of a model would be a book.
  if (is_model && all && arguments.pass != 0) std::erase(*stages, "graph");
  if (is_model && all && arguments.pass == 0) {
    *stages = {"graph"};
    all = false;
  }
  // A model's problems are those of its passes.
  const bool is_file = !std::holds_alternative<ParsedLayer>(*subject);
  const Depth depth = is_file && *stages != std::vector<std::string_view>{"graph"}
                          ? Depth::kUnits
                          : depth_of(*stages, arguments.pass);
  Pipeline pipeline;
  const Result<void> filled =
      fill_pipeline(pipeline, std::move(*subject), arguments.common, **target, depth, arguments.pass);
  const std::optional<Error> error = filled ? std::nullopt : std::optional(filled.error());
  return Printer(arguments, **target, all, inputs).print(*stages, pipeline, error);
}

}  // namespace

void add_explain(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("explain", "Show every stage from a layer's text or a model to machine code");
  const auto arguments = std::make_shared<ExplainArguments>();
  add_spec(*command, arguments->common, true, ", a loop nest (.nest), a vector program (.vir)");
  command
      ->add_option("--stage", arguments->stages,
                   "Which stages: spec, problem, graph, nest, schedule, vir, llvm, asm (several with commas; "
                   "default: all, "
                   "of a model without --pass the graph)")
      ->delimiter(',')
      ->type_name("STAGE");
  command->add_option("--pass", arguments->pass, "Only this pass over memory of a model or layer, from 1")
      ->check(whole_range(1, 1000000))
      ->type_name("N");
  command->add_option("--weights", arguments->weights, "A file with the model's weights, where SPEC has none")
      ->type_name("FILE");
  add_common_options(*command, arguments->common);
  command->footer(
      "The assembly is that of --backend (default: Xbyak's, of baseline LLVM's); --isa may name an "
      "instruction set\n"
      "that this CPU lacks. The output of a single stage is a file: run, compare and verify take spec, "
      "problem\n"
      "and nest, compare and verify also vir, --schedule takes schedule.\n"
      "Examples:\n  convsmith explain \"Conv1D(32, 3, input_shape=(None, 128))\" --stage schedule,asm --isa "
      "avx2\n  convsmith explain model.keras\n  convsmith explain model.keras --pass 2 --stage "
      "nest,schedule");
  command->callback([arguments, &exit_code] { exit_code = explain(*arguments); });
}

}  // namespace convsmith::cli
