#include "runtime/capi/c_api_error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace convsmith::c_api {

namespace {

// Larger than any version's struct will be.
constexpr size_t kMaxStruct = 4096;

struct LastError {
  std::string sentence;
  const char* instead = "";  // where there was no memory for the sentence
};

LastError& last_error() {
  thread_local LastError error;
  return error;
}

convsmith_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidSpec:
      return CONVSMITH_INVALID_SPEC;
    case ErrorCode::kUnsupported:
      return CONVSMITH_UNSUPPORTED;
    case ErrorCode::kInvalidData:
      return CONVSMITH_INVALID_DATA;
    case ErrorCode::kUnavailable:
      return CONVSMITH_UNAVAILABLE;
    case ErrorCode::kIo:
      return CONVSMITH_IO;
  }
  return CONVSMITH_INTERNAL;
}

}  // namespace

convsmith_status fail(convsmith_status status, std::string_view sentence) noexcept {
  LastError& error = last_error();
  try {
    error.sentence = sentence;
    error.instead = nullptr;
  } catch (...) {
    error.instead = "An error happened, and there is no memory for its description.";
  }
  return status;
}

convsmith_status fail(const Error& error) noexcept {
  return fail(status_of(error.code), error.message);
}

convsmith_status finish(RunStatus status) noexcept {
  if (status == RunStatus::kOk) return CONVSMITH_OK;
  return fail(static_cast<convsmith_status>(status), describe(status));
}

convsmith_status null_argument(const char* function, const char* argument) noexcept {
  return guard([&] {
    return fail(CONVSMITH_NULL_POINTER, fmt::format("The argument {} of {} is null.", argument, function));
  });
}

bool is_struct_size(size_t size) noexcept {
  return size >= 2 * sizeof(size_t) && size % sizeof(size_t) == 0 && size <= kMaxStruct;
}

bool is_zero(const void* data, size_t bytes) noexcept {
  const auto* begin = static_cast<const char*>(data);
  return std::all_of(begin, begin + bytes, [](char byte) { return byte == 0; });
}

convsmith_status bad_struct_size(const char* name, size_t given, size_t ours) noexcept {
  return guard([&] {
    return fail(CONVSMITH_INVALID_ARGUMENT,
                fmt::format("struct_size of {} is {}; it must be sizeof({}), which is {} in this version.",
                            name, given, name, ours));
  });
}

convsmith_status unknown_members(const char* name) noexcept {
  return guard([&] {
    return fail(
        CONVSMITH_INVALID_ARGUMENT,
        fmt::format("{} has members that this version of convsmith does not know; they must be 0.", name));
  });
}

}  // namespace convsmith::c_api

const char* convsmith_last_error(void) {
  const auto& error = convsmith::c_api::last_error();
  return error.instead != nullptr ? error.instead : error.sentence.c_str();
}
