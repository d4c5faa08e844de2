#include "runtime/host/private_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>

namespace convsmith {

namespace {

constexpr std::string_view kTemporary = ".tmp-";
constexpr time_t kHour = 3600;

using Refused = tl::unexpected<std::string>;

Refused failed(const char* what) {
  return Refused(fmt::format("{}: {}", what, std::strerror(errno)));
}

// Beyond it a write would end the process by a signal.
bool fits_file_limit(size_t bytes) {
  rlimit limit{};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur;
}

// A file that was used within a day stays as old as it is; an older one is as good as new, so that what is
// used is not swept.
void note_use(int fd, const struct stat& status) {
  if (status.st_mtime + 24 * kHour < time(nullptr)) futimens(fd, nullptr);
}

}  // namespace

const char* distrust(const struct stat& status, uid_t user) {
  if (status.st_uid != user) return "belongs to another user";
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "can be written by other users";
  return nullptr;
}

bool write_all(int fd, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

tl::expected<PrivateFolder, std::string> PrivateFolder::open(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  Descriptor fd(::open(path.c_str(), kFlags));
  if (!fd && errno == ENOENT) {
    if (mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return failed("can't be made");
    fd = Descriptor(::open(path.c_str(), kFlags));
  }
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return failed("can't be opened");
  if (const char* why = distrust(status, geteuid())) return Refused(why);
  return PrivateFolder(std::move(fd));
}

tl::expected<void, std::string> PrivateFolder::check(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 && errno == ENOENT) {
    // Only trying tells: some file systems take no folders, whatever their rights say.
    if (mkdir(path.c_str(), S_IRWXU) != 0) return failed("can't be made");
    rmdir(path.c_str());
    return {};
  }
  const auto folder = open(path);
  if (!folder) return Refused(folder.error());
  return {};
}

tl::expected<std::vector<uint8_t>, std::string> PrivateFolder::read(const std::string& name,
                                                                    size_t limit) const {
  // Without O_NONBLOCK a pipe would wait for its writer.
  const Descriptor fd(
      openat(fd_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && errno == ENOENT) return {};
  if (!fd && errno == ELOOP) return Refused("is a symbolic link");
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) return failed("can't be opened");
  if (!S_ISREG(status.st_mode)) return Refused("is no regular file");
  if (const char* why = distrust(status, geteuid())) return Refused(why);
  if (static_cast<uint64_t>(status.st_size) > limit) return Refused("is too long");
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("can't be read");
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  if (bytes.empty()) return Refused("is empty");
  note_use(fd.get(), status);
  return bytes;
}

tl::expected<void, std::string> PrivateFolder::write(const std::string& name, std::span<const uint8_t> bytes,
                                                     uint64_t random) const {
  if (!fits_file_limit(bytes.size())) return Refused("is longer than files may be (ulimit -f)");
  const std::string temporary = fmt::format("{}{:016x}", kTemporary, random);
  Descriptor fd(
      openat(fd_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return failed("can't be made");
  if (!write_all(fd.get(), bytes) || renameat(fd_.get(), temporary.c_str(), fd_.get(), name.c_str()) != 0) {
    auto why = failed("can't be written");
    unlinkat(fd_.get(), temporary.c_str(), 0);
    return why;
  }
  return {};
}

void PrivateFolder::sweep(std::string_view suffix, uint64_t limit) const {
  struct File {
    timespec written;
    uint64_t bytes;
    std::string name;
  };
  std::vector<File> files;
  uint64_t total = 0;
  // A descriptor of its own: reading a folder moves the position.
  const int fd = openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(fd < 0 ? nullptr : fdopendir(fd), closedir);
  if (folder == nullptr) {
    if (fd >= 0) close(fd);
    return;
  }
  const time_t now = time(nullptr);
  while (const dirent* entry = readdir(folder.get())) {
    const std::string name = entry->d_name;
    struct stat status {};
    const bool temporary = name.starts_with(kTemporary);
    if ((!temporary && !name.ends_with(suffix)) ||
        fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
      continue;
    if (temporary) {
      if (status.st_mtime + kHour < now) unlinkat(fd_.get(), name.c_str(), 0);
      continue;
    }
    files.push_back({status.st_mtim, static_cast<uint64_t>(status.st_size), name});
    total += files.back().bytes;
  }
  if (total <= limit) return;
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::pair(a.written.tv_sec, a.written.tv_nsec) < std::pair(b.written.tv_sec, b.written.tv_nsec);
  });
  // Somewhat below the limit, so that the next write does not find it exceeded again.
  for (const File& file : files) {
    if (total <= limit - limit / 8) return;
    if (unlinkat(fd_.get(), file.name.c_str(), 0) == 0) total -= file.bytes;
  }
}

}  // namespace convsmith
