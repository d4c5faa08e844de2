#include "cli/explain_sections.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "cli/describe_problem.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/x86/disassemble.hpp"
#include "ir/nest/nest_text.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

Section plain(std::string text) {
  Json json = text;
  return {std::move(text), std::move(json)};
}

// Each line behind '#'.
std::string commented(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    result += fmt::format("# {}\n", text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

Section nest_section(const Unit& unit) {
  Section section;
  if (unit.naive) {
    const std::string naive = ir::print(*unit.naive);
    section.text = "# as the formula says\n" + commented(naive);
    section.json["naive"] = naive;
  }
  if (unit.nest) {
    const std::string scheduled = ir::print(*unit.nest);
    section.text += unit.naive ? "#\n# as scheduled\n" + scheduled : scheduled;
    section.json["scheduled"] = scheduled;
  }
  return section;
}

Section vir_section(const Unit& unit) {
  const std::string run_line = unit.run_line.empty() ? "" : fmt::format("# {}\n", unit.run_line);
  return plain(run_line + vir::print(*unit.program));
}

// A problem as the layer that it is, where it is one, and its facts.
Section problem_section(const Facts& facts, const std::string& layer, bool runs) {
  const std::string first = runs ? layer + "\n" : commented(layer);
  return {first + commented(facts.text), facts.json};
}

Section graph_section(const ir::Graph& graph, const std::string& groups) {
  const std::string text = ir::print(graph);
  const int passes = ir::passes_over_memory(graph);
  std::string all = text;
  for (const std::string& decision : graph.decisions) all += decision + "\n";
  all += fmt::format("{} pass{} over memory.\n", passes, passes == 1 ? "" : "es");
  if (!groups.empty()) all += fmt::format("Passes that run together: {}\n", groups);
  return {std::move(all),
          {{"text", text}, {"decisions", graph.decisions}, {"passes", passes}, {"schedule", groups}}};
}

tl::unexpected<Error> has_no(std::string_view stage, Backend backend, std::string_view other) {
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("--stage {} is not made by --backend {}; it needs --backend {}.", stage,
                                backend_name(backend), other));
}

Result<Section> llvm_section(const Unit& unit, const Target& target, Backend backend) {
  if (backend != Backend::kAuto && backend != Backend::kLlvm) return has_no("llvm", backend, "llvm");
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  return plain((*module)->print_ir({&*unit.program, 1}, target, /*to_ship=*/false));
}

Result<Section> llvm_asm_section(const Unit& unit, const Target& target) {
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  Result<std::string> text = (*module)->print_assembly({&*unit.program, 1}, target);
  if (!text) return tl::unexpected(text.error());
  Json json{{"backend", "llvm"}, {"isa", target.name}, {"text", *text}};
  return Section{std::move(*text), std::move(json)};
}

Result<Section> xbyak_asm_section(const Unit& unit, const Target& target) {
  const Result<x86::MachineCode> code = x86::assemble(*unit.program, target);
  if (!code) return tl::unexpected(code.error());
  const x86::Disassembly listing = x86::disassemble(*unit.program, *code);
  std::string text;
  text +=
      fmt::format("{} bytes of machine code for {}, {} of them constants; {} integers live on the stack.\n",
                  listing.code_bytes, target.name, listing.constant_bytes, code->spills);
  Json loops = Json::array();
  for (const x86::InnermostLoop& loop : listing.loops) {
    text += fmt::format("{:4} fma of {:4} instructions in {}\n", loop.fmas, loop.instructions, loop.path);
    loops.push_back({{"loop", loop.path}, {"instructions", loop.instructions}, {"fmas", loop.fmas}});
  }
  Json json{{"backend", "xbyak"},
            {"isa", target.name},
            {"code_bytes", listing.code_bytes},
            {"constant_bytes", listing.constant_bytes},
            {"spilled_integers", code->spills},
            {"innermost_loops", std::move(loops)},
            {"text", listing.text}};
  return Section{listing.text + "\n" + commented(text), std::move(json)};
}

Result<Section> asm_section(const Unit& unit, const Target& target, Backend backend) {
  if (backend == Backend::kInterp) return has_no("asm", backend, "xbyak or llvm");
  // Baseline code is LLVM's: Xbyak's instructions are those of AVX2 and AVX-512.
  const bool by_llvm =
      backend == Backend::kLlvm || (backend == Backend::kAuto && target.isa == Isa::kBaseline);
  return by_llvm ? llvm_asm_section(unit, target) : xbyak_asm_section(unit, target);
}

}  // namespace

std::optional<Section> top_section(std::string_view stage, const Pipeline& pipeline, bool asked) {
  if (stage == "spec" && pipeline.layer) {
    const Facts facts = describe_spec(*pipeline.layer);
    return Section{facts.text, facts.json};
  }
  if (stage == "problem" && pipeline.problem)
    return problem_section(describe_problem(*pipeline.problem), to_call_text(pipeline.layer->spec), true);
  if (stage == "graph" && pipeline.graph && (asked || pipeline.graph->ops.size() > 1))
    return graph_section(*pipeline.graph, pipeline.groups);
  return std::nullopt;
}

Result<std::optional<Section>> unit_section(std::string_view stage, const Unit& unit, const Target& target,
                                            Backend backend) {
  if (stage == "problem" && unit.problem) {
    const std::string text = ir::problem_text(*unit.problem);
    const bool is_layer = parse_layer(text, Rules::kAny).has_value();
    return problem_section(describe_problem(*unit.problem), is_layer ? text + "  # with --rules any" : text,
                           is_layer);
  }
  if (stage == "nest" && unit.nest) return nest_section(unit);
  if (stage == "schedule" && unit.schedule) return plain(ir::print(*unit.schedule));
  const bool is_code = stage == "vir" || stage == "llvm" || stage == "asm";
  if (unit.error && (is_code || stage == "nest" || stage == "schedule")) return tl::unexpected(*unit.error);
  if (!unit.program) return std::nullopt;
  if (stage == "vir") return vir_section(unit);
  if (stage == "llvm") return llvm_section(unit, target, backend);
  if (stage == "asm") return asm_section(unit, target, backend);
  return std::nullopt;
}

}  // namespace convsmith::cli
