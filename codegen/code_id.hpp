// What tells machine code of one build of this library from that of any other: a hash of its sources, its
// compiler and its settings, made while it is built (cmake/hash_sources.cmake). Asked by whoever keeps
// machine code beyond the life of the process.
#pragma once

#include <string_view>

namespace convsmith {

std::string_view code_id();

}  // namespace convsmith
