#include "frontend/keras/keras1_names.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace convsmith {
namespace {

constexpr std::pair<std::string_view, std::string_view> kNames[] = {
    {"nb_filter", "filters"},
    {"filter_length", "kernel_size"},
    {"subsample_length", "strides"},
    {"subsample", "strides"},
    {"border_mode", "padding"},
    {"atrous_rate", "dilation_rate"},
    {"bias", "use_bias"},
    {"output_dim", "units"},
    {"init", "kernel_initializer"},
    {"pool_length", "pool_size"},
    {"stride", "strides"},
    {"length", "size"},
    {"concat_axis", "axis"},
};
constexpr std::string_view kIdleNames[] = {"W_regularizer", "b_regularizer", "W_constraint", "b_constraint",
                                           "input_length",  "input_dtype",   "dim_ordering"};

}  // namespace

std::string_view modern_name(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kNames), std::end(kNames),
                                         [&](const auto& pair) { return pair.first == name; });
  return found == std::end(kNames) ? std::string_view() : found->second;
}

bool is_idle_keras1_name(std::string_view name) {
  return std::find(std::begin(kIdleNames), std::end(kIdleNames), name) != std::end(kIdleNames);
}

const Value* find_argument(const Value& config, std::string_view key) {
  if (const Value* found = config.find(key)) return found;
  for (const auto& [old, modern] : kNames) {
    if (modern != key) continue;
    if (const Value* found = config.find(old)) return found;
  }
  return nullptr;
}

}  // namespace convsmith
