// A zip archive, read through minizip: its directory as values, its members one after the other. What the
// directory says is not to be believed: who reads a member says how much he takes.
// Called by models/zip_file and by the command line for .npz files.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith {

inline constexpr uint64_t kZipStored = 0;
inline constexpr uint64_t kZipDeflated = 8;

struct ZipMember {
  std::string name;
  uint64_t size = 0;
  uint64_t packed_size = 0;
  uint64_t method = kZipStored;
  bool is_encrypted = false;
  uint64_t place = 0;   // of its entry in the directory
  uint64_t number = 0;  // how many entries stand before it
};

class ZipArchive {
 public:
  // Nothing where there is no archive that can be read. `bytes` must outlive it.
  static std::optional<ZipArchive> open_bytes(std::string_view bytes);
  static std::optional<ZipArchive> open_file(const std::string& path);

  // Nothing where the directory is damaged.
  std::optional<std::vector<ZipMember>> members();

  // Begins to read a member, and ends with the one before. False where it is damaged.
  bool open(const ZipMember& member);
  // The next bytes of the open member, as many as there are up to `size`; nothing where it is damaged.
  std::optional<uint64_t> read(void* to, uint64_t size);
  // Whether all of the open member was read and its checksum is right.
  bool close();

 private:
  struct Handle;
  explicit ZipArchive(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

}  // namespace convsmith
