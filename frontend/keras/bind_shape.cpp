#include "frontend/keras/bind_shape.hpp"

#include <fmt/format.h>

#include "frontend/keras/check_spec.hpp"

namespace convsmith {

Result<Shape> read_shape(const BindContext& context, std::string_view argument, const Value& value) {
  using Kind = Value::Kind;
  if (!value.is_sequence()) {
    return context.fail(
        value, fmt::format("`{}` must be a tuple of integers and None, got {}", argument, describe(value)));
  }
  Shape shape;
  for (const Argument& item : value.items) {
    if (item.value.kind == Kind::kNone) {
      shape.push_back(std::nullopt);
    } else if (item.value.kind == Kind::kInt && item.value.integer >= 0 && item.value.integer <= kMaxAxis) {
      shape.push_back(item.value.integer);
    } else {
      return context.fail(value, fmt::format("`{}` must hold integers from 0 to {} or None, got {}", argument,
                                             kMaxAxis, describe(value)));
    }
  }
  return shape;
}

Result<void> bind_batch_input_shape(const BindContext& context, std::string_view argument, const Value& value,
                                    LayerSpec& spec) {
  Result<Shape> shape = read_shape(context, argument, value);
  if (!shape) return tl::unexpected(shape.error());
  if (shape->size() < 2) {
    return context.fail(value, fmt::format("`{}` must have a batch axis and at least one more, got {}",
                                           argument, describe(value)));
  }
  spec.batch_size = shape->front();
  spec.input_shape.assign(shape->begin() + 1, shape->end());
  return {};
}

}  // namespace convsmith
