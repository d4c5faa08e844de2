// Which back end and instruction set a layer gets where the caller left them open.
#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "codegen/llvm_loader.hpp"
#include "convsmith/convsmith.hpp"
#include "runtime/compile.hpp"
#include "runtime/host/verbose.hpp"

namespace convsmith {

namespace {

constexpr std::pair<Backend, std::string_view> kBackends[] = {{Backend::kAuto, "auto"},
                                                              {Backend::kXbyak, "xbyak"},
                                                              {Backend::kLlvm, "llvm"},
                                                              {Backend::kInterp, "interp"}};
constexpr std::pair<Isa, std::string_view> kIsas[] = {{Isa::kAuto, "auto"},
                                                      {Isa::kBaseline, "baseline"},
                                                      {Isa::kAvx2, "avx2"},
                                                      {Isa::kAvx512, "avx512"},
                                                      {Isa::kNeon, "neon"}};

// The best instruction set of this CPU that CONVSMITH_MAX_ISA allows.
Result<Isa> best_isa() {
  const Isa cpu = detect_isa();
  const char* cap = std::getenv("CONVSMITH_MAX_ISA");
  if (cap == nullptr || *cap == '\0') return cpu;
  const Result<Isa> most = parse_isa_cap(cap);
  if (!most) return most;
  return std::min(cpu, *most);
}

tl::unexpected<Error> unavailable(std::string what) {
  return make_error(ErrorCode::kUnavailable, std::move(what));
}

constexpr const char* kXbyakBaseline =
    "Back end xbyak makes AVX2 or AVX-512 code; isa 'baseline' is for llvm and interp.";

Result<Choice> check_isa(Backend backend, Isa isa) {
  if (backend == Backend::kXbyak && isa == Isa::kBaseline) return unavailable(kXbyakBaseline);
  if (backend != Backend::kInterp && isa > detect_isa()) {
    return unavailable(fmt::format("isa is '{}', which this CPU does not run; its best is '{}'.",
                                   isa_name(isa), isa_name(detect_isa())));
  }
  return Choice{backend, isa};
}

Result<Choice> pick(Backend backend, Isa isa) {
  // Named like this it is wrong on every host.
  if (backend == Backend::kXbyak && isa == Isa::kBaseline)
    return make_error(ErrorCode::kInvalidSpec, kXbyakBaseline);
  const auto best = best_isa();
  if (!best) return tl::unexpected(best.error());
  const Isa wanted = isa == Isa::kAuto ? *best : isa;
  if (backend != Backend::kAuto) {
    // Xbyak needs AVX2 whatever the cap says; then the sentence of check_isa tells.
    if (backend != Backend::kInterp && !process_code_memory())
      return tl::unexpected(process_code_memory().error());
    return check_isa(backend, wanted);
  }
  if (!process_code_memory()) {
    // Said once: it holds for every layer of the process.
    static const bool said =
        (say(1, process_code_memory().error().message + " The interpreter answers instead."), true);
    (void)said;
    return Choice{Backend::kInterp, wanted};
  }
  if (wanted != Isa::kBaseline) return check_isa(Backend::kXbyak, wanted);
  if (load_llvm_module()) return Choice{Backend::kLlvm, wanted};
  say(1, load_llvm_module().error().message + " The interpreter answers instead.");
  return Choice{Backend::kInterp, wanted};
}

}  // namespace

Result<Isa> parse_isa_cap(std::string_view text) {
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    if (isa_name(isa) == text) return isa;
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("CONVSMITH_MAX_ISA is '{}'; it must be baseline, avx2 or avx512.", text));
}

std::string_view backend_name(Backend backend) {
  for (const auto& [value, name] : kBackends) {
    if (value == backend) return name;
  }
  return "?";
}

std::string_view isa_name(Isa isa) {
  for (const auto& [value, name] : kIsas) {
    if (value == isa) return name;
  }
  return "?";
}

Result<Choice> choose_backend(Backend backend, Isa isa) {
  auto choice = pick(backend, isa);
  if (choice && verbose_level() >= 1) {
    say(1, fmt::format("picked back end {} for {}", backend_name(choice->backend), isa_name(choice->isa)));
  }
  return choice;
}

const Result<CodeMemory*>& process_code_memory() {
  // Never destroyed: kernels may outlive static destruction.
  static const auto* answer = [] {
    auto memory = std::make_unique<Result<CodeMemory>>(CodeMemory::create());
    if (!*memory) return new Result<CodeMemory*>(tl::unexpected(memory->error()));
    if (const std::string& why = (*memory)->why_private(); !why.empty())
      say(1, why + " Machine code lives in private memory instead, written first and made executable then.");
    return new Result<CodeMemory*>(&**memory.release());
  }();
  return *answer;
}

CodeMemoryKind code_memory_kind() {
  const auto& memory = process_code_memory();
  if (!memory) return CodeMemoryKind::kNone;
  return (*memory)->is_private() ? CodeMemoryKind::kPrivate : CodeMemoryKind::kShared;
}

}  // namespace convsmith
