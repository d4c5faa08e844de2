// Where to look for the files that belong to the library and are opened or started only when they are needed:
// the LLVM module, and the program that reads HDF5 files. Called by llvm_loader and h5_helper.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace convsmith {

struct Companion {
  const char* file;                  // its name
  const char* variable;              // the environment variable that says its path
  std::vector<std::string> folders;  // where it may be installed, seen from the library and from programs
};

// What the variable says; there is no other place then. Privileged programs (setuid) have no such choice.
std::optional<std::string> chosen_companion(const Companion& companion);

// The places otherwise, first the best: beside the library or program that holds this code, in the folders
// (an absolute one is taken as it is), and the same for the running program.
std::vector<std::string> companion_paths(const Companion& companion);

}  // namespace convsmith
