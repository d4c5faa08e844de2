// Errors as values. A user's mistake is an Error: one full sentence that names the argument, its
// value and what would be legal. A mistake of our own is a failed CHECK (frontend/base/check.hpp).
#pragma once

#include "convsmith/language.hpp"

#include <string>
#include <tl/expected.hpp>

namespace convsmith {

enum class ErrorCode {
  kInvalidSpec,  // the layer text, its arguments or its schedule are wrong
  kUnsupported,  // legal in Keras, not computed by convsmith
  kInvalidData,  // an array or file does not fit
  kUnavailable,  // the CPU, the host or this build lacks a back end
  kIo,           // a file could not be read or written
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidSpec;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

// The one place where errors are born: a debugger's breakpoint goes here.
inline tl::unexpected<Error> make_error(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace convsmith
