#include "cli/io/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace convsmith::cli {
namespace {

std::string reason() {
  return std::generic_category().message(errno);
}

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidData, std::move(message));
}

constexpr size_t kStart = 16;

class FileSource : public ByteSource {
 public:
  FileSource(const std::string& path, uint64_t size, int descriptor)
      : ByteSource(path, size), descriptor_(descriptor) {}
  ~FileSource() override { close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  Result<void> read(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t count = ::read(descriptor_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return refuse(fmt::format("The file {} can't be read: {}.", name(), reason()));
      if (count == 0) return refuse(fmt::format("The file {} ends too early.", name()));
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  }

  std::string start() const override {
    std::string bytes(kStart, '\0');
    bytes.resize(static_cast<size_t>(std::max<ssize_t>(pread(descriptor_, bytes.data(), kStart, 0), 0)));
    return bytes;
  }

 private:
  int descriptor_;
};

class MemorySource : public ByteSource {
 public:
  MemorySource(std::string name, std::vector<std::byte> bytes)
      : ByteSource(std::move(name), bytes.size()), bytes_(std::move(bytes)) {}

  Result<void> read(std::span<std::byte> bytes) override {
    if (bytes.size() > bytes_.size() - at_) return refuse(fmt::format("The file {} ends too early.", name()));
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), bytes.size(), bytes.begin());
    at_ += bytes.size();
    return {};
  }

  std::string start() const override {
    return {reinterpret_cast<const char*>(bytes_.data()), std::min(bytes_.size(), kStart)};
  }

 private:
  std::vector<std::byte> bytes_;
  size_t at_ = 0;
};

// A file that exists only until it is given its name.
class TemporaryFile {
 public:
  // A name of its own: that of the target with more behind it may be too long.
  explicit TemporaryFile(const std::filesystem::path& target)
      : path_((target.parent_path() / ".convsmith-XXXXXX").string()),
        descriptor_(mkostemp(path_.data(), O_CLOEXEC)) {}
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    if (!named_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int descriptor() const { return descriptor_; }
  bool rename_to(const std::string& target) {
    // mkstemp makes files for the user alone; a result is as readable as the file that it replaces, or as any
    // new one.
    const mode_t mask = umask(0);
    umask(mask);
    struct stat old {};
    const mode_t mode = stat(target.c_str(), &old) == 0 ? old.st_mode & 0777 : 0666 & ~mask;
    if (fchmod(descriptor_, mode) != 0) return false;
    named_ = rename(path_.c_str(), target.c_str()) == 0;
    return named_;
  }

 private:
  std::string path_;
  int descriptor_;
  bool named_ = false;
};

// Where a write to `path` really goes: through symbolic links, also to what is not there yet.
std::string resolve_target(const std::string& path) {
  constexpr int kMostLinks = 40;
  std::filesystem::path target = path;
  std::error_code code;
  for (int i = 0; i < kMostLinks && std::filesystem::is_symlink(target, code); ++i)
    target = target.parent_path() / std::filesystem::read_symlink(target, code);
  return target.string();
}

std::string folder_of(const std::string& target) {
  const std::string folder = std::filesystem::path(target).parent_path().string();
  return folder.empty() ? "." : folder;
}

tl::unexpected<Error> cannot_write(const std::string& path, const std::string& why) {
  return make_error(ErrorCode::kIo, fmt::format("The output {} can't be written: {}.",
                                                path == "-" ? "on standard output" : path, why));
}

// As it is, without a file of another name.
Result<void> write_stream(const std::string& path, const std::function<Result<void>(int)>& write) {
  if (is_standard_stream(path, STDOUT_FILENO)) return write(STDOUT_FILENO);
  const int descriptor = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return cannot_write(path, reason());
  Result<void> done = write(descriptor);
  if (close(descriptor) != 0 && done) return cannot_write(path, reason());
  return done;
}

// Of devices only terminals have, and the one that holds nothing.
bool has_end(int descriptor) {
  struct stat info {};
  if (fstat(descriptor, &info) != 0) return true;  // reading says why
  if (!S_ISCHR(info.st_mode)) return !S_ISBLK(info.st_mode);
  return isatty(descriptor) != 0 || info.st_rdev == makedev(1, 3);
}

// To its end, in pieces that memory is there for.
Result<std::vector<std::byte>> read_stream(int descriptor, const std::string& name) {
  std::vector<std::byte> bytes(size_t{1} << 16);
  size_t filled = 0;
  while (true) {
    const ssize_t count = ::read(descriptor, bytes.data() + filled, bytes.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(fmt::format("{} can't be read: {}.", name, reason()));
    if (count == 0) break;
    filled += static_cast<size_t>(count);
    if (filled < bytes.size()) continue;
    if (Result<void> done = check_memory(name, 2.0 * static_cast<double>(bytes.size())); !done)
      return tl::unexpected(done.error());
    bytes.resize(2 * bytes.size());
  }
  bytes.resize(filled);
  return bytes;
}

// Bytes that can still be had without swapping; 0: unknown.
double free_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::string unit;
  double kilobytes = 0;
  while (file >> key >> kilobytes) {
    std::getline(file, unit);
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<ByteSource>> open_file(const std::string& path) {
  // Without O_NONBLOCK a named pipe would make the program wait for its writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return refuse(fmt::format("The file {} can't be opened: {}.", path, reason()));
  struct stat info {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor);
    return refuse(fmt::format("{} is no regular file.", path));
  }
  return std::make_unique<FileSource>(path, static_cast<uint64_t>(info.st_size), descriptor);
}

bool is_standard_stream(const std::string& path, int descriptor) {
  constexpr const char* kNames[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
  return path == "-" || path == kNames[descriptor] || path == fmt::format("/dev/fd/{}", descriptor) ||
         path == fmt::format("/proc/self/fd/{}", descriptor);
}

bool is_stream(const std::string& path) {
  for (const char* folder : {"/dev/fd/", "/proc/self/fd/"})
    if (path.starts_with(folder)) return true;
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (is_standard_stream(path, descriptor)) return true;
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
         !std::filesystem::is_directory(status);
}

Result<std::unique_ptr<ByteSource>> open_file_or_stream(const std::string& path) {
  if (!is_stream(path)) return open_file(path);
  const bool standard = is_standard_stream(path, STDIN_FILENO);
  const std::string name = standard ? "Standard input" : path;
  const int descriptor = standard ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return refuse(fmt::format("The file {} can't be opened: {}.", path, reason()));
  Result<std::vector<std::byte>> bytes =
      has_end(descriptor) ? read_stream(descriptor, name)
                          : refuse(fmt::format("{} is a device that has no end; files, pipes and "
                                               "terminals are read.",
                                               name));
  if (!standard) close(descriptor);
  if (!bytes) return tl::unexpected(bytes.error());
  return open_memory(name, std::move(*bytes));
}

std::unique_ptr<ByteSource> open_memory(std::string name, std::vector<std::byte> bytes) {
  return std::make_unique<MemorySource>(std::move(name), std::move(bytes));
}

Result<std::string> read_all(ByteSource& source) {
  const uint64_t size = source.size();
  if (Result<void> done = check_memory(source.name(), static_cast<double>(size)); !done)
    return tl::unexpected(done.error());
  std::string text(static_cast<size_t>(size), '\0');
  if (Result<void> done = source.read(std::as_writable_bytes(std::span(text))); !done)
    return tl::unexpected(done.error());
  return text;
}

Result<std::string> read_text(const std::string& path, uint64_t max_bytes) {
  Result<std::unique_ptr<ByteSource>> source = open_file(path);
  if (!source) return tl::unexpected(source.error());
  const uint64_t size = (*source)->size();
  if (size > max_bytes) {
    return refuse(fmt::format("The file {} has {} bytes; at most {} are read.", path, size, max_bytes));
  }
  return read_all(**source);
}

Result<void> check_output(std::string_view option, const std::string& path) {
  const auto failed = [&](const std::string& why) {
    return make_error(ErrorCode::kIo, fmt::format("{} {} can't be written: {}.", option, path, why));
  };
  if (is_standard_stream(path, STDOUT_FILENO)) return {};
  const std::string target = resolve_target(path);
  const std::string folder = folder_of(target);
  struct stat info {};
  const bool exists = stat(target.c_str(), &info) == 0;
  const int error = errno;
  if (exists && S_ISDIR(info.st_mode)) return failed("it is a folder");
  if (!exists && (error == ENOENT || error == ENOTDIR)) {
    if (access(folder.c_str(), F_OK) != 0) return failed(fmt::format("there is no folder {}", folder));
    if (target.ends_with('/') || stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
      return failed(fmt::format("{} is no folder", target.ends_with('/') ? target : folder));
  } else if (!exists) {
    return failed(std::generic_category().message(error));
  }
  // A file is replaced by a new one of its folder; streams are written as they are.
  if (exists && access(target.c_str(), W_OK) != 0) return failed(reason());
  if (!is_stream(target) && access(folder.c_str(), W_OK | X_OK) != 0)
    return failed(fmt::format("its folder {} takes no files ({})", folder, reason()));
  return {};
}

Result<void> write_file(const std::string& path, const std::function<Result<void>(int)>& write) {
  if (is_stream(path)) return write_stream(path, write);
  const std::string target = resolve_target(path);
  std::error_code code;
  if (std::filesystem::is_directory(target, code)) return cannot_write(path, "it is a folder");
  if (std::filesystem::is_symlink(target, code))
    return cannot_write(path, std::generic_category().message(ELOOP));
  TemporaryFile file(target);
  if (file.descriptor() < 0) return cannot_write(path, reason());
  if (Result<void> done = write(file.descriptor()); !done) return done;
  if (!file.rename_to(target)) return cannot_write(path, reason());
  return {};
}

Result<void> write_bytes(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot_write(path, reason());
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> write_text(const std::string& path, std::string_view text) {
  return write_file(
      path, [&](int descriptor) { return write_bytes(descriptor, std::as_bytes(std::span(text)), path); });
}

Result<void> check_memory(const std::string& what, double bytes) {
  const double available = free_memory();
  if (available <= 0 || bytes <= available) return {};
  constexpr double kMiB = 1 << 20;
  return refuse(fmt::format("{} would need {:.0f} MiB of memory, and {:.0f} MiB are free.", what,
                            bytes / kMiB, available / kMiB));
}

std::string printable(std::string_view text) {
  constexpr size_t kLongest = 60;
  std::string result(text.substr(0, kLongest));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kLongest ? result + "..." : result;
}

std::string suffix_of(const std::string& path) {
  std::string suffix = std::filesystem::path(path).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return suffix;
}

}  // namespace convsmith::cli
