// How the C functions fail: a status, and a sentence that the thread keeps. Used by runtime/capi/c_api*.cpp
// only.
#pragma once

#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include "convsmith/convsmith.h"
#include "convsmith/convsmith.hpp"

namespace convsmith::c_api {

// Keeps the sentence for convsmith_last_error. Never fails: where there is no memory for it, a shorter one is
// kept.
convsmith_status fail(convsmith_status status, std::string_view sentence) noexcept;
convsmith_status fail(const Error& error) noexcept;
// kOk is no failure.
convsmith_status finish(RunStatus status) noexcept;

convsmith_status null_argument(const char* function, const char* argument) noexcept;

// Calls the body of a C function; nothing that it throws gets out. `failed` makes the answer of a status.
template <class Body, class Failed>
auto guard(const Body& body, const Failed& failed) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return failed(fail(CONVSMITH_NO_MEMORY, "There is not enough memory."));
  } catch (const std::exception& error) {
    return failed(fail(CONVSMITH_INTERNAL, error.what()));
  } catch (...) {
    return failed(fail(CONVSMITH_INTERNAL, "An exception of unknown type was thrown."));
  }
}

template <class Body>
convsmith_status guard(const Body& body) noexcept {
  return guard(body, [](convsmith_status status) { return status; });
}

// finish, with a sentence made where the status is a failure.
template <class Sentence>
convsmith_status finish(RunStatus status, const Sentence& sentence) noexcept {
  if (status == RunStatus::kOk) return CONVSMITH_OK;
  return guard([&] { return fail(static_cast<convsmith_status>(status), sentence()); });
}

// For functions whose answer is a number.
template <class Body>
int64_t guard_number(const Body& body) noexcept {
  return guard(body, [](convsmith_status) { return int64_t{-1}; });
}

// The size of a caller's struct of any version: whole members, at least one behind struct_size.
bool is_struct_size(size_t size) noexcept;
// For what a newer struct has and we do not know.
bool is_zero(const void* data, size_t bytes) noexcept;
convsmith_status bad_struct_size(const char* name, size_t given, size_t ours) noexcept;
convsmith_status unknown_members(const char* name) noexcept;

// Reads a caller's struct, null meaning all defaults, into one of this version. `name` is for the sentence.
template <class Options>
convsmith_status read_options(const Options* given, Options& out, const char* name) noexcept {
  static_assert(std::is_trivially_copyable_v<Options> && alignof(Options) == sizeof(size_t));
  out = Options{};
  if (given == nullptr) return CONVSMITH_OK;
  const size_t size = given->struct_size;
  if (!is_struct_size(size)) return bad_struct_size(name, size, sizeof(Options));
  const auto* bytes = reinterpret_cast<const char*>(given);
  if (size > sizeof(Options) && !is_zero(bytes + sizeof(Options), size - sizeof(Options)))
    return unknown_members(name);
  std::memcpy(&out, bytes, size < sizeof(Options) ? size : sizeof(Options));
  return CONVSMITH_OK;
}

}  // namespace convsmith::c_api
