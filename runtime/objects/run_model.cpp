#include "runtime/objects/run_model.hpp"

#include <algorithm>
#include <memory>
#include <span>
#include <variant>

#include "convsmith/model.hpp"
#include "runtime/why_refused.hpp"

namespace convsmith {
namespace {

// The first layer that has a data format decides which axis of the input holds its steps.
bool is_channels_first(const ModelSpec& model) {
  for (const ModelLayer& layer : model.layers) {
    const DataFormat* format = std::visit(
        [](const auto& op) -> const DataFormat* {
          if constexpr (requires { op.data_format; }) return &op.data_format;
          return nullptr;
        },
        layer.op);
    if (format != nullptr) return *format == DataFormat::kChannelsFirst;
  }
  return false;
}

}  // namespace

Result<Tensor> run_model(ModelSpec model, const Tensor& input, Denormals denormals) {
  int64_t steps = 1;
  if (input.shape.size() > 2) steps = input.shape[is_channels_first(model) ? 2 : 1];
  const Result<CompiledModel> compiled = compile(Model(std::make_shared<const ModelSpec>(std::move(model))));
  if (!compiled) return tl::unexpected(compiled.error());
  Tensor output{compiled->output_shapes(input.shape.front(), std::span(&steps, 1)).front(), {}};
  size_t floats = 1;
  for (const int64_t size : output.shape) floats *= static_cast<size_t>(std::max<int64_t>(size, 0));
  output.data.resize(floats);  // run refuses what would have no steps
  const RunStatus status = compiled->run(input.data.data(), output.data.data(), input.shape.front(), steps,
                                         {.denormals = denormals});
  if (status != RunStatus::kOk) {
    return make_error(ErrorCode::kInvalidData,
                      why_refused(*compiled, status, input.shape.front(), std::span(&steps, 1)));
  }
  return output;
}

}  // namespace convsmith
