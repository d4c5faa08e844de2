#include "codegen/llvm_loader.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <vector>

namespace convsmith {

namespace {

constexpr const char* kFileName = "libconvsmith_llvm.so";

std::string folder_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  return slash == std::string::npos ? "" : file.substr(0, slash);
}

std::string running_program() {
  std::array<char, 4096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  return length > 0 ? std::string(path.data(), static_cast<size_t>(length)) : "";
}

std::vector<std::string> candidates() {
  // secure_getenv: who runs a privileged program may not choose what it loads.
  if (const char* chosen = secure_getenv("CONVSMITH_LLVM_MODULE")) return {chosen};
  std::vector<std::string> files;
  const auto beside = [&](const std::string& file) {
    const std::string folder = folder_of(file);
    if (folder.empty()) return;  // a bare name says nothing of where it lies
    for (const char* path : {"/", "/" CONVSMITH_BIN_TO_LIB "/"}) {
      std::string candidate = folder + path + kFileName;
      if (access(candidate.c_str(), R_OK) == 0) files.push_back(std::move(candidate));
    }
  };
  Dl_info here;
  if (dladdr(reinterpret_cast<const void*>(&load_llvm_module), &here) != 0) beside(here.dli_fname);
  beside(running_program());
  files.emplace_back(kFileName);
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
