// Every place where a layer can run: a back end with an instruction set. Tests that promise equal bits
// loop over all of them.
#pragma once

#include <unistd.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "codegen/target.hpp"
#include "convsmith/options.hpp"
#include "runtime/compile.hpp"

namespace convsmith::test {

struct Place {
  Backend backend;
  Isa isa;
};

inline std::string name_of(const Place& place) {
  return std::string(backend_name(place.backend)) + "_" + std::string(isa_name(place.isa));
}

inline void PrintTo(const Place& place, std::ostream* out) {
  *out << name_of(place);
}

// A build with LLVM puts the module where its loader looks; only a build without has none. A module that
// is there but does not load is a failure and no reason to skip.
inline bool llvm_is_built() {
  if (std::getenv("CONVSMITH_LLVM_MODULE") != nullptr) return true;
  std::array<char, 4096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  const std::string program(path.data(), static_cast<size_t>(length > 0 ? length : 0));
  const std::string folder = program.substr(0, program.rfind('/'));
  for (const char* file : {"/libconvsmith_llvm.so", "/../lib/libconvsmith_llvm.so"}) {
    if (access((folder + file).c_str(), R_OK) == 0) return true;
  }
  return false;
}

inline std::vector<Place> places_of(Backend backend) {
  std::vector<Place> places;
  if (backend == Backend::kLlvm && !llvm_is_built()) return places;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (backend == Backend::kXbyak && isa == Isa::kBaseline) continue;
    // The interpreter runs any CPU's program.
    if (backend == Backend::kInterp || isa <= detect_isa()) places.push_back({backend, isa});
  }
  return places;
}

inline std::vector<Place> machine_code_places() {
  std::vector<Place> places = places_of(Backend::kXbyak);
  for (const Place& place : places_of(Backend::kLlvm)) places.push_back(place);
  return places;
}

inline std::vector<Place> all_places() {
  std::vector<Place> places = places_of(Backend::kInterp);
  for (const Place& place : machine_code_places()) places.push_back(place);
  return places;
}

// What must be equal: sign and payload of a NaN are not promised.
inline std::vector<uint32_t> bits_of(std::span<const float> values) {
  std::vector<uint32_t> bits;
  bits.reserve(values.size());
  for (const float x : values) bits.push_back(std::isnan(x) ? 0x7fc00000U : std::bit_cast<uint32_t>(x));
  return bits;
}

}  // namespace convsmith::test
