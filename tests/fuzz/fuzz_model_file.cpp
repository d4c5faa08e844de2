// Model files of any kind: zip, HDF5, JSON.
#include <cstdint>
#include <string_view>

#include "frontend/models/load_model.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  (void)convsmith::load_model_bytes({reinterpret_cast<const char*>(data), size}, "fuzzed");
  return 0;
}
