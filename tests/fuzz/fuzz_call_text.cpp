// Layer text of any kind. What parses must print as text that parses to the same layer.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "frontend/keras/parse_layer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace convsmith;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Rules rules : {Rules::kCommon, Rules::kKeras2, Rules::kKeras3, Rules::kAny}) {
    const Result<ParsedLayer> layer = parse_layer(text, rules);
    if (!layer) continue;
    const Result<ParsedLayer> again = parse_layer(to_call_text(layer->spec), Rules::kAny);
    if (!again) std::abort();
  }
  return 0;
}
