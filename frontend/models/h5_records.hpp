// What the program convsmith-h5dump (frontend/h5dump) sends about an HDF5 file, and how much time and memory
// it may take. Read by h5_tree, written by h5_dump.
//
// First the greeting, then records: a kind byte and its fields. Numbers are 64 bits in the machine's order;
// text is its length and its bytes. Records stand in the order of a walk: a group's records follow it up to
// its kEnd.
#pragma once

#include <cstdint>
#include <string_view>

namespace convsmith::models {

// Changes with the records: programs of other versions are told apart by it.
inline constexpr std::string_view kH5Greeting = "convsmith-h5dump 1\n";

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

// Time that honest files never take: of computing, and on the clock, for a library that waits instead.
constexpr uint64_t h5_cpu_milliseconds(uint64_t file_bytes) {
  return 700 + file_bytes / 4096;
}
constexpr uint64_t h5_clock_seconds(uint64_t file_bytes) {
  return 4 + 4 * h5_cpu_milliseconds(file_bytes) / 1000;
}

}  // namespace convsmith::models
