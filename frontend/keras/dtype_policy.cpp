#include "frontend/keras/dtype_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace convsmith {
namespace {

constexpr std::string_view kFloatPolicies[] = {"float16", "bfloat16",      "float64",        "half",
                                               "double",  "mixed_float16", "mixed_bfloat16", "mixed_float64"};
// Float32 by another name: what Keras 2 says of a layer that takes the type of its input.
constexpr std::string_view kFloat32[] = {"float32", "float", "infer", "_infer", "mixed_float32"};

template <std::size_t N>
bool is_one_of(std::string_view word, const std::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

}  // namespace

std::string policy_name(const Value& dtype) {
  if (const std::string_view name = name_of(dtype); !name.empty()) return std::string(name);
  const SerializedObject policy = read_serialized(dtype);
  if (policy.config == nullptr) return {};
  const auto entry = [&](std::string_view key) {
    const Value* value = policy.config->find(key);
    return value != nullptr ? name_of(*value) : std::string_view();
  };
  if (!entry("mode").empty()) return fmt::format("{}_from_{}", entry("mode"), entry("source_name"));
  if (const Value* inner = policy.config->find("default_policy")) return policy_name(*inner);
  return std::string(entry("name"));
}

std::string narrowed_note(std::string_view policy) {
  return fmt::format(
      "float32 stands in for the dtype policy {}: weights are converted to it and all is computed in it",
      policy);
}

Result<void> accept_dtype(const BindContext& context, const Value& dtype) {
  const std::string policy = policy_name(dtype);
  if (dtype.kind == Value::Kind::kNone || is_one_of(policy, kFloat32)) return {};
  if (context.from_json && is_one_of(policy, kFloatPolicies)) {
    if (context.narrowed != nullptr) {
      ++(*context.narrowed)[policy];
    } else {
      context.note(narrowed_note(policy) + ".");
    }
    return {};
  }
  const std::string shown = policy.empty() ? describe(dtype) : quote(policy);
  const bool is_quantized = policy.find("_from_") != std::string::npos;
  return context.fail(
      dtype,
      fmt::format("`dtype` {} is not supported; layers compute in float32{}", shown,
                  is_quantized
                      ? ", and weights can't be quantized: save the model before `quantize` is called"
                  : context.from_json ? ", and files of float16, bfloat16 and float64 are converted to it"
                                      : ""),
      ErrorCode::kUnsupported);
}

}  // namespace convsmith
