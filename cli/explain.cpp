// `convsmith explain`: every stage between the text of a layer, or the file of a model, and its machine code.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/describe_problem.hpp"
#include "cli/files.hpp"
#include "cli/load_spec.hpp"
#include "cli/pipeline.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/vir_text.hpp"
#include "codegen/x86/disassemble.hpp"
#include "ir/nest_text.hpp"
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

// A stage in both forms.
struct Section {
  std::string text;
  Json json;
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
  const auto* const program = std::get_if<vir::Program>(&spec);
  // An instruction set that this CPU lacks can be explained, but not one that the back end never makes.
  if (options.backend == Backend::kXbyak && options.isa == Isa::kBaseline)
    if (const auto choice = choose_backend(options.backend, options.isa); !choice)
      return tl::unexpected(choice.error());
  if (options.isa != Isa::kAuto) return &host_target(options.isa);
  if (program != nullptr) {
    for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
      if (target_for(isa).lanes == program->lanes) return &host_target(isa);
    }
  }
  const Result<Choice> choice = choose_backend(options.backend, Isa::kAuto);
  if (!choice) return tl::unexpected(choice.error());
  return &host_target(choice->isa);
}

Section plain(std::string text) {
  Json json = text;
  return {std::move(text), std::move(json)};
}

Section nest_section(const Unit& unit) {
  const std::string scheduled = ir::print(*unit.nest);
  if (!unit.naive) return {scheduled, {{"scheduled", scheduled}}};
  const std::string naive = ir::print(*unit.naive);
  return {fmt::format("# as the formula says\n{}\n# as scheduled\n{}", naive, scheduled),
          {{"naive", naive}, {"scheduled", scheduled}}};
}

Section graph_section(const ir::Graph& graph) {
  const std::string text = ir::print(graph);
  const int passes = ir::passes_over_memory(graph);
  std::string all = text;
  for (const std::string& decision : graph.decisions) all += decision + "\n";
  all += fmt::format("{} pass{} over memory.\n", passes, passes == 1 ? "" : "es");
  return {std::move(all), {{"text", text}, {"decisions", graph.decisions}, {"passes", passes}}};
}

Result<Section> llvm_section(const Unit& unit, const Target& target) {
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  return plain((*module)->print_ir({&*unit.program, 1}, target, /*to_ship=*/false));
}

Result<Section> asm_section(const Unit& unit, const Target& target) {
  const Result<x86::MachineCode> code = x86::assemble(*unit.program, target);
  if (!code) return tl::unexpected(code.error());
  const x86::Disassembly listing = x86::disassemble(*unit.program, *code);
  std::string text = listing.text;
  text +=
      fmt::format("\n{} bytes of machine code for {}, {} of them constants; {} integers live on the stack.\n",
                  listing.code_bytes, target.name, listing.constant_bytes, code->spills);
  Json loops = Json::array();
  for (const x86::InnermostLoop& loop : listing.loops) {
    text += fmt::format("{:4} fma of {:4} instructions in {}\n", loop.fmas, loop.instructions, loop.path);
    loops.push_back({{"loop", loop.path}, {"instructions", loop.instructions}, {"fmas", loop.fmas}});
  }
  Json json{{"isa", target.name},
            {"code_bytes", listing.code_bytes},
            {"constant_bytes", listing.constant_bytes},
            {"spilled_integers", code->spills},
            {"innermost_loops", std::move(loops)},
            {"text", listing.text}};
  return Section{std::move(text), std::move(json)};
}

// One stage of what SPEC is as a whole; nullopt where there is none.
std::optional<Section> top_section(std::string_view stage, const Pipeline& pipeline, bool asked) {
  if (stage == "spec" && pipeline.layer) {
    const Facts facts = describe_spec(*pipeline.layer);
    return Section{facts.text, facts.json};
  }
  if (stage == "problem" && pipeline.problem) {
    const Facts facts = describe_problem(*pipeline.problem);
    return Section{facts.text, facts.json};
  }
  if (stage == "graph" && pipeline.graph && (asked || pipeline.graph->ops.size() > 1))
    return graph_section(*pipeline.graph);
  return std::nullopt;
}

// One stage of a unit; nullopt where it begins behind that stage or ended before it.
Result<std::optional<Section>> unit_section(std::string_view stage, const Unit& unit, const Target& target) {
  if (stage == "problem" && unit.problem) {
    const Facts facts = describe_problem(*unit.problem);
    return Section{facts.text, facts.json};
  }
  if (stage == "nest" && unit.nest) return nest_section(unit);
  if (stage == "schedule" && unit.schedule) return plain(ir::print(*unit.schedule));
  if (!unit.program) return std::nullopt;
  if (stage == "vir") return plain(vir::print(*unit.program));
  if (stage == "llvm") return llvm_section(unit, target);
  if (stage == "asm") return asm_section(unit, target);
  return std::nullopt;
}

// Prints stages, or collects them as JSON.
class Printer {
 public:
  Printer(const ExplainArguments& arguments, const Target& target, bool all)
      : arguments_(arguments), target_(target), all_(all) {}

  // A back end that is not there is one sentence among others, and a failure only where its stage was asked
  // for by name; so is a stage that SPEC does not have. `complete`: nothing went wrong before.
  int print(const std::vector<std::string_view>& stages, const Pipeline& pipeline, bool complete) {
    std::vector<std::string_view> shown;
    for (const std::string_view stage : stages) {
      const std::optional<Section> section = top_section(stage, pipeline, !all_);
      if (!section) continue;
      shown.push_back(stage);
      add(json_, stage, "", *section);
    }
    for (const Unit& unit : pipeline.units) print_unit(stages, unit, pipeline, shown);
    for (const std::string_view stage : stages) {
      const bool missing = std::find(shown.begin(), shown.end(), stage) == shown.end();
      if (!missing || all_ || !complete || exit_code_ != kOk) continue;
      exit_code_ = report({ErrorCode::kInvalidSpec, fmt::format("--stage is {}, and {} has no such stage.",
                                                                stage, arguments_.common.spec)});
    }
    if (arguments_.common.json && complete)
      fmt::print("{}\n", json_.dump(2, ' ', false, Json::error_handler_t::replace));
    return exit_code_;
  }

 private:
  void add(Json& json, std::string_view stage, const std::string& unit, const Section& section) {
    if (arguments_.common.json) json[std::string(stage)] = section.json;
    if (arguments_.common.json) return;
    const bool ended = section.text.ends_with('\n');
    fmt::print("== {}{}{} ==\n{}{}\n", stage, unit.empty() ? "" : " of ", without_controls(unit),
               without_controls(section.text), ended ? "" : "\n");
  }

  void print_unit(const std::vector<std::string_view>& stages, const Unit& unit, const Pipeline& pipeline,
                  std::vector<std::string_view>& shown) {
    Json passes{{"name", unit.name}};
    Json& json = unit.name.empty() ? json_ : passes;
    for (const std::string_view stage : stages) {
      // The problem of a layer that is one nest has been shown.
      if (stage == "problem" && pipeline.problem && unit.name.empty()) continue;
      Result<std::optional<Section>> section = unit_section(stage, unit, target_);
      if (!section && !all_) {
        exit_code_ = report(section.error());
        shown.push_back(stage);
        continue;
      }
      if (!section) section = plain(section.error().message);
      if (!section->has_value()) continue;
      shown.push_back(stage);
      add(json, stage, unit.name, **section);
    }
    if (!unit.name.empty()) json_["passes"].push_back(std::move(passes));
  }

  const ExplainArguments& arguments_;
  const Target& target_;
  bool all_;
  Json json_;
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
  note_foreign_tuning(arguments.common);
  Result<Subject> subject = load_subject_with_model_weights(arguments.common, arguments.weights);
  if (!subject) return report(subject.error());
  const Result<const Target*> target = find_target(arguments.common, *subject);
  if (!target) return report(target.error());
  bool all = stages->size() == kStages.size();
  const bool is_model = std::holds_alternative<LoadedModelSpec>(*subject);
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
  const int exit_code = Printer(arguments, **target, all).print(*stages, pipeline, filled.has_value());
  return filled ? exit_code : report(filled.error());
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
      "The assembly is the Xbyak back end's; --isa may name an instruction set that this CPU lacks.\n"
      "Examples:\n  convsmith explain \"Conv1D(32, 3, input_shape=(None, 128))\" --stage schedule,asm --isa "
      "avx2\n  convsmith explain model.keras\n  convsmith explain model.keras --pass 2 --stage "
      "nest,schedule");
  command->callback([arguments, &exit_code] { exit_code = explain(*arguments); });
}

}  // namespace convsmith::cli
