// The JSON of a model's architecture.
#include <cstdint>
#include <string_view>

#include "frontend/models/load_model.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  (void)convsmith::parse_model_json({reinterpret_cast<const char*>(data), size});
  return 0;
}
