// A compiled kernel as the bytes of a file: a header, the text of its key, its machine code, and a hash of
// all of these. Reading checks all of it and executes nothing; no bytes make it read outside them. Whether
// the file comes from somebody whose code may run is for the caller to know: disk_cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "runtime/compile.hpp"

namespace convsmith {

// What a file must have been written for.
struct KernelFileId {
  std::string key;    // all that shapes the code, with back end and instruction set
  std::string build;  // who made the code (code_id.hpp)
  Backend backend;
  Isa isa;

  // Of the file: two ids with the same name are the same but for an accident of one in 2^128, and then a
  // file's key still tells.
  std::string file_name() const;
};

// The longest file that is written or read.
constexpr size_t kMaxKernelFileBytes = size_t{64} << 20;

// The kernel is machine code.
std::vector<uint8_t> write_kernel_file(const KernelFileId& id, const CompiledKernel& kernel);

struct KernelFile {
  CompiledKernel kernel;  // without problem and code
  std::span<const uint8_t> code;
  size_t entry = 0;
};
// `code` points into `file`. The error ends a sentence that begins with the file's name.
tl::expected<KernelFile, std::string_view> read_kernel_file(std::span<const uint8_t> file,
                                                            const KernelFileId& id);

}  // namespace convsmith
