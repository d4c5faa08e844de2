// The public C++ headers need C++20. Under an older standard the compiler stops here, with one sentence.
#pragma once

#if __cplusplus < 202002L
#error \
    "convsmith's C++ headers need C++20: compile with -std=c++20. Older C++ and C have convsmith/convsmith.h."
#include "convsmith/needs_cxx20"  // is not there: nothing of what follows would compile
#endif
