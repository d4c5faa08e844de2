// Reads the config of one layer key by key: converts, checks, and says in one sentence what is wrong. Missing
// keys have Keras's defaults. Used by layer_ops.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/keras1_names.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith::models {

class Fields {
 public:
  Fields(const BindContext& context, std::string_view class_name, const Value& config)
      : context_(context), class_name_(class_name), config_(config) {}

  const BindContext& context() const { return context_; }
  std::string_view class_name() const { return class_name_; }
  const Value& config() const { return config_; }
  const Value* find(std::string_view key) const { return find_argument(config_, key); }

  static tl::unexpected<Error> refuse(std::string_view key, const Value& value, std::string_view wanted,
                                      ErrorCode code = ErrorCode::kInvalidData);

  // An integer, or a list of one; null is the default.
  Result<int64_t> single(std::string_view key, int64_t otherwise, int64_t least, int64_t most) const;
  // A list of integers.
  Result<std::vector<int64_t>> integers(std::string_view key, int64_t least, int64_t most) const;
  // An integer for both, or a list of two.
  Result<std::pair<int64_t, int64_t>> pair(std::string_view key, int64_t otherwise) const;
  // The number of an axis, or a list of one.
  Result<int64_t> axis(std::string_view key, int64_t otherwise) const;
  // The numbers of one axis or more, no two alike.
  Result<std::vector<int64_t>> axes(std::string_view key) const;
  Result<double> number(std::string_view key, double otherwise) const;
  Result<bool> flag(std::string_view key, bool otherwise) const;
  // One of some words, the first one if there is no such key.
  Result<std::string> choice(std::string_view key, std::initializer_list<std::string_view> words) const;
  Result<DataFormat> data_format() const;
  Result<Shape> shape(std::string_view key) const;

 private:
  const BindContext& context_;
  std::string_view class_name_;
  const Value& config_;
};

}  // namespace convsmith::models
