// A folder whose files only its owner can have written: opened anew for each use, and looked at through its
// descriptor, so what was checked is what is used. Called by disk_cache.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace convsmith {

// A file descriptor, owned.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Why what `status` describes may not be trusted, as the end of a sentence; null if it may: it belongs to
// `user`, and nobody else can write to it.
const char* distrust(const struct stat& status, uid_t user);

// All of `bytes`; false, with errno, where the system refuses.
bool write_all(int fd, std::span<const uint8_t> bytes);

class PrivateFolder {
 public:
  // Makes the folder (0700) where it is missing. The error is the end of a sentence.
  static tl::expected<PrivateFolder, std::string> open(const std::string& path);

  // Whether open would succeed; makes nothing.
  static tl::expected<void, std::string> check(const std::string& path);

  // The contents of a regular file of ours with no more than `limit` bytes. Empty where there is none.
  tl::expected<std::vector<uint8_t>, std::string> read(const std::string& name, size_t limit) const;

  // The file has all of these bytes or is as it was before, whoever else writes it and whatever ends this
  // process. `random` makes the name of the temporary file.
  tl::expected<void, std::string> write(const std::string& name, std::span<const uint8_t> bytes,
                                        uint64_t random) const;

  // Removes temporary files that are older than an hour, and of the files that end in `suffix` the oldest
  // if all together have more than `limit` bytes.
  void sweep(std::string_view suffix, uint64_t limit) const;

 private:
  explicit PrivateFolder(Descriptor fd) : fd_(std::move(fd)) {}
  Descriptor fd_;
};

}  // namespace convsmith
