#include "codegen/llvm_loader.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <vector>

#include "frontend/keras/companion.hpp"

namespace convsmith {

namespace {

constexpr const char* kFileName = "libconvsmith_llvm.so";

std::vector<std::string> candidates() {
  const Companion module{kFileName, "CONVSMITH_LLVM_MODULE", {CONVSMITH_BIN_TO_LIB}};
  if (const auto chosen = chosen_companion(module)) return {*chosen};
  std::vector<std::string> files = companion_paths(module);
  std::erase_if(files, [](const std::string& file) { return access(file.c_str(), R_OK) != 0; });
  files.emplace_back(kFileName);  // where the system looks
  return files;
}

tl::unexpected<Error> unavailable(const std::string& why) {
  return make_error(ErrorCode::kUnavailable, "The LLVM back end is not available: " + why +
                                                 ". Set CONVSMITH_LLVM_MODULE to the path of " + kFileName +
                                                 ", or choose another back end.");
}

// The module stays open for good: kernels that it made may live as long as the process.
Result<const LlvmModule*> open_module() {
  std::string why;
  for (const std::string& file : candidates()) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) {
      if (why.empty()) why = dlerror();
      continue;
    }
    const auto* module = static_cast<const LlvmModule*>(dlsym(library, kLlvmModuleSymbol));
    if (module != nullptr && module->build_id == llvm_build_id()) return module;
    if (why.empty())
      why = file + (module == nullptr ? " is not a convsmith module" : " comes from another build");
    dlclose(library);
  }
  return unavailable(why);
}

}  // namespace

const Result<const LlvmModule*>& load_llvm_module() {
  static const Result<const LlvmModule*> module = open_module();
  return module;
}

}  // namespace convsmith
