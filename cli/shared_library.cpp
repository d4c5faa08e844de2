#include "cli/shared_library.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "cli/io/files.hpp"

extern char** environ;

namespace convsmith::cli {

namespace {

std::optional<std::string> find_program(const char* name) {
  const char* const path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!folders.empty()) {
    const size_t end = std::min(folders.find(':'), folders.size());
    const std::string file = std::string(folders.substr(0, end)) + "/" + name;
    folders.remove_prefix(std::min(end + 1, folders.size()));
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

std::optional<std::string> find_linker(bool is_arm) {
  const std::array<const char*, 4> own = {is_arm ? "aarch64-linux-gnu-ld" : "x86_64-linux-gnu-ld", "ld.lld",
                                          "ld.lld-19", is_arm ? nullptr : "ld"};
  for (const char* name : own) {
    if (name == nullptr) continue;
    if (auto file = find_program(name)) return file;
  }
  return std::nullopt;
}

// A file of its own that goes when this does.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& beside) : path_(beside + ".XXXXXX") {
    descriptor_ = mkstemp(path_.data());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(path_.c_str());
  }
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_;
};

// What the program says goes to `log`.
int run_program(std::vector<std::string> words, int log) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO);
  pid_t child = 0;
  const int failed = posix_spawn(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

Result<void> link_shared(std::span<const uint8_t> object, bool is_arm, const std::string& path) {
  const auto linker = find_linker(is_arm);
  if (!linker) {
    return make_error(ErrorCode::kUnavailable,
                      fmt::format("{} can't be linked: there is no {} on this system's PATH; install one, or "
                                  "emit an object (.o) and link it elsewhere.",
                                  path, is_arm ? "aarch64-linux-gnu-ld or ld.lld" : "ld or ld.lld"));
  }
  const TemporaryFile input(path);
  const TemporaryFile output(path);
  const TemporaryFile log(path);
  if (input.descriptor() < 0 || output.descriptor() < 0 || log.descriptor() < 0)
    return make_error(ErrorCode::kIo, fmt::format("{} can't be written: {}.", path, std::strerror(errno)));
  if (auto ok = write_bytes(input.descriptor(), std::as_bytes(object), path); !ok) return ok;
  const size_t slash = path.rfind('/');
  // A name that begins with a dash would be an option of the linker's.
  const auto named = [](const std::string& file) { return file.starts_with('-') ? "./" + file : file; };
  const std::string soname = slash == std::string::npos ? path : path.substr(slash + 1);
  const int exit_code = run_program(
      {*linker, "-shared", "--build-id=sha1", "--eh-frame-hdr", "-z", "noexecstack", "-z", "relro", "-z",
       "now", "-z", "text", "-z", "defs", "-soname", soname, "-o", named(output.path()), named(input.path())},
      log.descriptor());
  if (exit_code != 0) {
    const auto said = read_text(log.path(), 4096);
    return make_error(ErrorCode::kIo, fmt::format("{} can't be linked; {} says: {}", path, *linker,
                                                  said ? without_controls(*said) : "nothing"));
  }
  const Result<std::string> library = read_text(output.path(), UINT64_MAX);
  if (!library) return tl::unexpected(library.error());
  return write_file(path, [&](int descriptor) {
    fchmod(descriptor, 0755);
    return write_bytes(descriptor, std::as_bytes(std::span(*library)), path);
  });
}

}  // namespace convsmith::cli
