#include "frontend/models/preprocessing.hpp"

#include <fmt/format.h>

#include <utility>

#include "frontend/models/constants.hpp"

namespace convsmith::models {

using Kind = Value::Kind;

Result<LayerOp> bind_rescaling(const Fields& fields) {
  const Value* factor = fields.find("scale");
  if (factor == nullptr) return make_error(ErrorCode::kInvalidData, "`scale` is missing.");
  Result<Constant> scale = read_constant(*factor, "`scale`");
  if (!scale) return tl::unexpected(scale.error());
  Result<Constant> offset = Constant{{}, {0.0}};
  if (const Value* given = fields.find("offset")) offset = read_constant(*given, "`offset`");
  if (!offset) return tl::unexpected(offset.error());
  if (scale->shape.empty()) *scale = filled(*offset, scale->data[0]);
  if (offset->shape.empty()) *offset = filled(*scale, offset->data[0]);
  if (scale->shape != offset->shape)
    return make_error(ErrorCode::kUnsupported,
                      "`scale` and `offset` must have one shape, or one be a number.");
  return AffineOp{std::move(*scale), std::move(*offset)};
}

Result<LayerOp> bind_normalization(const Fields& fields) {
  NormalizationOp op;
  const Value* axis = fields.find("axis");
  const bool is_whole =
      axis != nullptr && (axis->kind == Kind::kNone || (axis->is_sequence() && axis->items.empty()));
  if (!is_whole) {
    Result<std::vector<int64_t>> axes = fields.axes("axis");
    if (!axes) return tl::unexpected(axes.error());
    op.axes = std::move(*axes);
  }
  Result<bool> invert = fields.flag("invert", false);
  if (!invert) return tl::unexpected(invert.error());
  op.invert = *invert;
  for (const auto& [key, place] : {std::pair("mean", &op.mean), std::pair("variance", &op.variance)}) {
    const Value* value = fields.find(key);
    if (value == nullptr || value->kind == Kind::kNone) continue;
    Result<Constant> constant = read_constant(*value, fmt::format("`{}`", key));
    if (!constant) return tl::unexpected(constant.error());
    *place = std::move(*constant);
  }
  const bool fits =
      op.mean.has_value() == op.variance.has_value() &&
      (!op.mean || (op.mean->shape == op.variance->shape && op.mean->shape.size() <= op.axes.size()));
  if (fits) return op;
  return make_error(ErrorCode::kInvalidData,
                    "`mean` and `variance` must be given together, in one shape of at most as many axes as "
                    "`axis` names.");
}

}  // namespace convsmith::models
