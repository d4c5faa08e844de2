#include "cli/verify/back_ends.hpp"

#include <fmt/format.h>

#include "codegen/llvm_loader.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {

namespace {

bool is_available(BackEnd back_end) {
  if (back_end.backend == Backend::kInterp) return true;
  if (back_end.isa > detect_isa() || !process_code_memory()) return false;
  if (back_end.backend == Backend::kXbyak) return back_end.isa != Isa::kBaseline;
  return load_llvm_module().has_value();
}

}  // namespace

std::string back_end_name(BackEnd back_end) {
  return fmt::format("{} {}", backend_name(back_end.backend), isa_name(back_end.isa));
}

Result<void> check_named(Backend backend, Isa isa) {
  if (backend == Backend::kAuto) return {};
  if (const auto choice = choose_backend(backend, isa); !choice) return tl::unexpected(choice.error());
  if (backend != Backend::kLlvm || load_llvm_module()) return {};
  return tl::unexpected(load_llvm_module().error());
}

std::vector<BackEnd> available_back_ends(Backend backend, Isa isa) {
  std::vector<BackEnd> result;
  for (const Isa candidate : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) {
    if (isa != Isa::kAuto && isa != candidate) continue;
    if (result.empty() && (isa != Isa::kAuto || candidate <= detect_isa()))
      result.push_back({Backend::kInterp, candidate});
  }
  for (const Backend kind : {Backend::kInterp, Backend::kXbyak, Backend::kLlvm}) {
    for (const Isa candidate : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
      const BackEnd pair{kind, candidate};
      const bool wanted =
          (backend == Backend::kAuto || backend == kind) && (isa == Isa::kAuto || isa == candidate);
      if (wanted && pair != result.front() && is_available(pair)) result.push_back(pair);
    }
  }
  return result;
}

}  // namespace convsmith::cli
