#include "cli/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
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

 private:
  std::vector<std::byte> bytes_;
  size_t at_ = 0;
};

// A file that exists only until it is given its name.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target)
      : path_(target + ".XXXXXX"), descriptor_(mkostemp(path_.data(), O_CLOEXEC)) {}
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    if (!named_) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int descriptor() const { return descriptor_; }
  bool rename_to(const std::string& target) {
    // mkstemp makes files for the user alone; a result is as readable as any new file.
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(descriptor_, 0666 & ~mask) != 0) return false;
    named_ = rename(path_.c_str(), target.c_str()) == 0;
    return named_;
  }

 private:
  std::string path_;
  int descriptor_;
  bool named_ = false;
};

// Where a write to `path` really goes: through symbolic links, and only to what rename may replace.
Result<std::string> resolve_target(const std::string& path) {
  std::error_code code;
  const std::filesystem::file_status status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) return path;
  if (!std::filesystem::is_regular_file(status)) {
    return make_error(ErrorCode::kIo, fmt::format("The output {} exists and is no regular file.", path));
  }
  const std::filesystem::path target = std::filesystem::canonical(path, code);
  return code ? path : target.string();
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

std::unique_ptr<ByteSource> open_memory(std::string name, std::vector<std::byte> bytes) {
  return std::make_unique<MemorySource>(std::move(name), std::move(bytes));
}

Result<std::string> read_text(const std::string& path, uint64_t max_bytes) {
  Result<std::unique_ptr<ByteSource>> source = open_file(path);
  if (!source) return tl::unexpected(source.error());
  const uint64_t size = (*source)->size();
  if (size > max_bytes) {
    return refuse(fmt::format("The file {} has {} bytes; at most {} are read.", path, size, max_bytes));
  }
  if (Result<void> done = check_memory(path, static_cast<double>(size)); !done)
    return tl::unexpected(done.error());
  std::string text(static_cast<size_t>(size), '\0');
  if (Result<void> done = (*source)->read(std::as_writable_bytes(std::span(text))); !done) {
    return tl::unexpected(done.error());
  }
  return text;
}

Result<void> write_file(const std::string& path, const std::function<Result<void>(int)>& write) {
  const Result<std::string> target = resolve_target(path);
  if (!target) return tl::unexpected(target.error());
  TemporaryFile file(*target);
  const auto failed = [&] {
    return make_error(ErrorCode::kIo, fmt::format("The output {} can't be written: {}.", path, reason()));
  };
  if (file.descriptor() < 0) return failed();
  if (Result<void> done = write(file.descriptor()); !done) return done;
  if (!file.rename_to(*target)) return failed();
  return {};
}

Result<void> write_bytes(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return make_error(ErrorCode::kIo, fmt::format("The output {} can't be written: {}.", path, reason()));
    }
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

std::string without_controls(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f; }, '?');
  return text;
}

std::string suffix_of(const std::string& path) {
  std::string suffix = std::filesystem::path(path).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return suffix;
}

}  // namespace convsmith::cli
