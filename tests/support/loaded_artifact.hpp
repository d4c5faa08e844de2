// An artifact as a shared library of this process: its functions, and the word that says which variant runs.
#pragma once

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "cli/shared_library.hpp"
#include "runtime/aot/artifact.hpp"
#include "tests/cli/temporary_folder.hpp"

namespace convsmith::test {

class LoadedArtifact {
 public:
  LoadedArtifact(const Artifact& artifact, std::string name) : name_(std::move(name)) {
    const std::string path = folder_ / "artifact.so";
    const auto linked = cli::link_shared(artifact.object, /*is_arm=*/false, path);
    EXPECT_TRUE(linked) << linked.error().message;
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(library_, nullptr) << dlerror();
    if (library_ != nullptr) variant_ = find_variant_word(path);
  }
  LoadedArtifact(const LoadedArtifact&) = delete;
  LoadedArtifact& operator=(const LoadedArtifact&) = delete;
  ~LoadedArtifact() {
    if (library_ != nullptr) dlclose(library_);
  }

  template <class Function>
  Function* function(const std::string& what) const {
    void* const address = dlsym(library_, (name_ + "_" + what).c_str());
    EXPECT_NE(address, nullptr) << what;
    return reinterpret_cast<Function*>(address);
  }

  // 1 for the best of the artifact's variants, 2 for the next; 0 asks the CPU anew.
  void use_variant(uint32_t number) { *variant_ = number; }
  uint32_t variant() const { return *variant_; }

 private:
  // A local symbol: only nm knows.
  uint32_t* find_variant_word(const std::string& path) const {
    uint64_t word = 0;
    uint64_t run = 0;
    FILE* const nm = popen(("nm " + path).c_str(), "r");
    std::array<char, 512> line{};
    while (nm != nullptr && std::fgets(line.data(), line.size(), nm) != nullptr) {
      unsigned long long address = 0;
      std::array<char, 400> symbol{};
      if (std::sscanf(line.data(), "%llx %*c %399s", &address, symbol.data()) != 2) continue;
      if (name_ + ".variant" == symbol.data()) word = address;
      if (name_ + "_run" == symbol.data()) run = address;
    }
    if (nm != nullptr) pclose(nm);
    auto* const base = static_cast<std::byte*>(dlsym(library_, (name_ + "_run").c_str()));
    return reinterpret_cast<uint32_t*>(base + (word - run));
  }

  std::string name_;
  cli_test::TemporaryFolder folder_;
  void* library_ = nullptr;
  uint32_t* variant_ = nullptr;
};

}  // namespace convsmith::test
