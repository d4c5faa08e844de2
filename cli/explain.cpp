// `convsmith explain`: every stage between the layer's text and its machine code, as text.
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
#include "codegen/llvm_loader.hpp"
#include "codegen/vir_text.hpp"
#include "codegen/x86/disassemble.hpp"
#include "ir/nest_text.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> kStages = {"spec", "problem", "nest", "schedule",
                                                     "vir",  "llvm",    "asm"};

struct ExplainArguments {
  CommonOptions common;
  std::vector<std::string> stages = {"all"};
};

// What SPEC was, and all that followed from it so far.
struct Pipeline {
  std::optional<ParsedLayer> layer;
  std::optional<Problem> problem;
  std::optional<ir::LoopNest> naive;
  std::optional<ir::Schedule> schedule;
  std::optional<ir::LoopNest> nest;
  std::optional<vir::Program> program;
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
          fmt::format("--stage is '{}'; it must be spec, problem, nest, schedule, vir, llvm, asm or all.",
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
Result<const Target*> find_target(const CommonOptions& options, const LoadedSpec& spec) {
  const auto* const program = std::get_if<vir::Program>(&spec);
  if (options.isa != Isa::kAuto) return &target_for(options.isa);
  if (program != nullptr) {
    for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
      if (target_for(isa).lanes == program->lanes) return &target_for(isa);
    }
  }
  const Result<Choice> choice = choose_backend(options.backend, Isa::kAuto);
  if (!choice) return tl::unexpected(choice.error());
  return &target_for(choice->isa);
}

Result<void> lower_layer_into(Pipeline& pipeline, const CommonOptions& options, const Target& target) {
  const Result<Problem> problem = problem_for(pipeline.layer->spec, options);
  if (!problem) return tl::unexpected(problem.error());
  pipeline.problem = *problem;
  Result<LoweredLayer> lowered = lower_layer(*problem, target, options.schedule);
  if (!lowered) return tl::unexpected(lowered.error());
  pipeline.naive = std::move(lowered->naive);
  pipeline.schedule = std::move(lowered->schedule);
  pipeline.nest = std::move(lowered->nest);
  pipeline.program = std::move(lowered->program);
  return {};
}

// Runs the pipeline as far as it goes; an error leaves what was reached.
Result<void> fill(Pipeline& pipeline, LoadedSpec spec, const CommonOptions& options, const Target& target) {
  if (auto* layer = std::get_if<ParsedLayer>(&spec)) {
    pipeline.layer = std::move(*layer);
    return lower_layer_into(pipeline, options, target);
  }
  if (!options.schedule.empty()) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("--schedule is given, but {} is scheduled already.", options.spec));
  }
  if (auto* program = std::get_if<vir::Program>(&spec)) {
    if (program->lanes != target.lanes) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("{} has {} lanes, and isa {} has {}.", options.spec, program->lanes,
                                    target.name, target.lanes));
    }
    pipeline.program = std::move(*program);
    return {};
  }
  pipeline.nest = std::move(std::get<ir::LoopNest>(spec));
  pipeline.problem = pipeline.nest->problem;
  Result<vir::Program> program = lower_nest(*pipeline.nest, target);
  if (!program) return tl::unexpected(program.error());
  pipeline.program = std::move(*program);
  return {};
}

Section plain(std::string text) {
  Json json = text;
  return {std::move(text), std::move(json)};
}

Section nest_section(const Pipeline& pipeline) {
  const std::string scheduled = ir::print(*pipeline.nest);
  if (!pipeline.naive) return {scheduled, {{"scheduled", scheduled}}};
  const std::string naive = ir::print(*pipeline.naive);
  return {fmt::format("# as the formula says\n{}\n# as scheduled\n{}", naive, scheduled),
          {{"naive", naive}, {"scheduled", scheduled}}};
}

Result<Section> llvm_section(const Pipeline& pipeline, const Target& target) {
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  return plain((*module)->print_ir(*pipeline.program, target));
}

Result<Section> asm_section(const Pipeline& pipeline, const Target& target) {
  const Result<x86::MachineCode> code = x86::assemble(*pipeline.program, target);
  if (!code) return tl::unexpected(code.error());
  const x86::Disassembly listing = x86::disassemble(*pipeline.program, *code);
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

// One stage; nullopt where the pipeline begins behind it or ended before it.
Result<std::optional<Section>> make_section(std::string_view stage, const Pipeline& pipeline,
                                            const Target& target) {
  if (stage == "spec" && pipeline.layer) {
    const Facts facts = describe_spec(*pipeline.layer);
    return Section{facts.text, facts.json};
  }
  if (stage == "problem" && pipeline.problem) {
    const Facts facts = describe_problem(*pipeline.problem);
    return Section{facts.text, facts.json};
  }
  if (stage == "nest" && pipeline.nest) return nest_section(pipeline);
  if (stage == "schedule" && pipeline.schedule) return plain(ir::print(*pipeline.schedule));
  if (!pipeline.program) return std::nullopt;
  if (stage == "vir") return plain(vir::print(*pipeline.program));
  if (stage == "llvm") return llvm_section(pipeline, target);
  if (stage == "asm") return asm_section(pipeline, target);
  return std::nullopt;
}

void print_section(std::string_view stage, const Section& section) {
  const bool ended = section.text.ends_with('\n');
  fmt::print("== {} ==\n{}{}\n", stage, section.text, ended ? "" : "\n");
}

// Prints the stages; a back end that is not there is one sentence among others, and a failure only where its
// stage was asked for by name.
int print_stages(const std::vector<std::string_view>& stages, const Pipeline& pipeline, const Target& target,
                 const ExplainArguments& arguments, bool complete) {
  int exit_code = kOk;
  Json json;
  const bool all = stages.size() == kStages.size();
  for (const std::string_view stage : stages) {
    Result<std::optional<Section>> section = make_section(stage, pipeline, target);
    if (!section && !all) {
      exit_code = report(section.error());
      continue;
    }
    if (!section) section = plain(section.error().message);
    if (!section->has_value()) {
      if (all || !complete) continue;
      exit_code =
          report({ErrorCode::kInvalidSpec, fmt::format("--stage is {}, and {} begins behind that stage.",
                                                       stage, arguments.common.spec)});
      continue;
    }
    if (arguments.common.json) json[std::string(stage)] = std::move((*section)->json);
    if (!arguments.common.json) print_section(stage, **section);
  }
  if (arguments.common.json && complete) fmt::print("{}\n", json.dump(2));
  return exit_code;
}

int explain(const ExplainArguments& arguments) {
  const auto stages = wanted_stages(arguments.stages);
  if (!stages) return report(stages.error());
  Result<LoadedSpec> spec = load_spec(arguments.common);
  if (!spec) return report(spec.error());
  const Result<const Target*> target = find_target(arguments.common, *spec);
  if (!target) return report(target.error());
  Pipeline pipeline;
  Result<void> filled;
  const auto* const layer = std::get_if<ParsedLayer>(&*spec);
  if (layer != nullptr && *stages == std::vector<std::string_view>{"spec"}) {
    pipeline.layer = *layer;  // needs no input shape
  } else {
    filled = fill(pipeline, std::move(*spec), arguments.common, **target);
  }
  const int exit_code = print_stages(*stages, pipeline, **target, arguments, filled.has_value());
  return filled ? exit_code : report(filled.error());
}

}  // namespace

void add_explain(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("explain", "Show every stage from the layer's text to machine code");
  const auto arguments = std::make_shared<ExplainArguments>();
  add_spec(*command, arguments->common, true);
  command
      ->add_option(
          "--stage", arguments->stages,
          "Which stages: spec, problem, nest, schedule, vir, llvm, asm (several with commas; default: all)")
      ->delimiter(',')
      ->type_name("STAGE");
  add_common_options(*command, arguments->common);
  command->footer(
      "The assembly is the Xbyak back end's; --isa may name an instruction set that this CPU lacks.\n"
      "Example:\n  convsmith explain \"Conv1D(32, 3, input_shape=(None, 128))\" --stage schedule,asm --isa "
      "avx2");
  command->callback([arguments, &exit_code] { exit_code = explain(*arguments); });
}

}  // namespace convsmith::cli
