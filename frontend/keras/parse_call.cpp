#include "frontend/keras/parse_call.hpp"

#include <fmt/format.h>

#include <utility>

#include "frontend/keras/bind_layer.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith {

Result<ParsedLayer> parse_call(std::string_view text, Rules rules) {
  Result<Statement> statement = parse_statement(text);
  if (!statement) return tl::unexpected(statement.error());
  ParsedLayer out;
  BindContext context{.rules = rules, .text = text, .notes = &out.notes};
  Value layer = std::move(statement->value);
  if (statement->applied) context.note("The call behind the layer was ignored.");
  const bool is_add =
      layer.kind == Value::Kind::kCall && layer.text.ends_with(".add") && layer.items.size() == 1;
  if (is_add) layer = Value(std::move(layer.items.front().value));
  if (layer.kind != Value::Kind::kCall || layer.partial) {
    return context.fail(layer,
                        fmt::format("Expected a layer such as Conv1D(32, 3), got {}", describe(layer)));
  }
  context.dialect =
      dialect_of_package(layer.text, rules == Rules::kKeras3 ? Dialect::kKeras3 : Dialect::kCall);
  Result<LayerSpec> spec = bind_layer(context, last_component(layer.text), layer, layer.items);
  if (!spec) return tl::unexpected(spec.error());
  out.spec = std::move(*spec);
  return out;
}

}  // namespace convsmith
