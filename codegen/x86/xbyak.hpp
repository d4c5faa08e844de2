// The one place that includes Xbyak, so that its switches agree everywhere. Xbyak only encodes
// instructions here: it writes into a plain buffer of ours and never allocates or protects memory.
#pragma once

#define XBYAK_NO_EXCEPTION 1
#define XBYAK_DONT_USE_MMAP_ALLOCATOR 1
#include <xbyak/xbyak.h>
