#include "frontend/keras/parse_layer.hpp"

#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/json_value.hpp"
#include "frontend/keras/parse_call.hpp"
#include "frontend/keras/parse_config.hpp"

namespace convsmith {

Result<ParsedLayer> parse_layer(std::string_view text, Rules rules) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    return make_error(ErrorCode::kInvalidSpec,
                      "The layer text is empty; expected, for example, Conv1D(32, 3).");
  }
  Result<ParsedLayer> layer = is_json_object(text) ? parse_config(text, rules) : parse_call(text, rules);
  if (!layer) return layer;
  if (Result<void> done = check_spec(layer->spec, rules); !done) return tl::unexpected(done.error());
  return layer;
}

}  // namespace convsmith
