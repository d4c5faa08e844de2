// Reads an HDF5 file with the HDF5 library and writes what is in it as a stream of plain records. Runs in the
// child process that h5_tree.cpp starts, and nowhere else.
//
// Record: kind byte, then fields. Numbers are 64 bits in the machine's order; text is its length and its
// bytes. Records stand in the order of a walk: a group's records follow it up to its kEnd.
#pragma once

#include <cstdint>
#include <string_view>

namespace convsmith::models {

enum class H5Record : uint8_t {
  kGroup,      // name
  kEnd,        // of the innermost open group
  kAttribute,  // of the innermost open group: name, count, texts
  kDataset,    // name, stored_as, rank, sizes, floats
  kRefused,    // name, reason
  kFailed      // the file is no HDF5 file
};

inline constexpr int kMaxH5Depth = 64;

// What the contents may take: a floor for small files, and so many times the file's size for compressed ones.
constexpr uint64_t h5_size_limit(uint64_t file_bytes) {
  return (uint64_t{32} << 20) + 100 * file_bytes;
}

// Writes all records to the file descriptor `out`.
void dump_h5(std::string_view bytes, int out);

}  // namespace convsmith::models
