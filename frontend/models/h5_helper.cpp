#include "frontend/models/h5_helper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <vector>

#include "frontend/keras/companion.hpp"
#include "frontend/keras/value.hpp"
#include "frontend/models/h5_records.hpp"

extern char** environ;

namespace convsmith::models {
namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<Error> unavailable(std::string_view why) {
  return make_error(ErrorCode::kUnavailable,
                    fmt::format("HDF5 files, and the weights in .keras files, can't be read: {}", why));
}

Companion h5_helper() {
  Companion helper{"convsmith-h5dump",
                   "CONVSMITH_H5_HELPER",
                   {CONVSMITH_LIB_TO_LIBEXEC, CONVSMITH_BIN_TO_LIBEXEC, CONVSMITH_LIBEXEC}};
#ifdef CONVSMITH_H5_BUILD_FOLDER
  helper.folders.emplace_back(CONVSMITH_H5_BUILD_FOLDER);
#endif
  return helper;
}

// A process that reads from and writes to one end of a socket; killed, if it still runs, and buried at the
// end.
class Child {
 public:
  // `error` is 0, or the errno of the failed start.
  Child(const std::string& program, uint64_t file_bytes) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
      error_ = errno;
      return;
    }
    socket_ = ends[0];
    error_ = start(program, std::to_string(file_bytes), ends[1]);
    close(ends[1]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (socket_ >= 0) close(socket_);
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  int error() const { return error_; }
  int socket() const { return socket_; }

 private:
  // Neither what the caller has opened, nor the signals that it blocks or ignores, reach the child.
  int start(const std::string& program, std::string size, int socket) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, socket, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string name = program;
    char* const arguments[] = {name.data(), size.data(), nullptr};
    const int failed = posix_spawn(&pid_, program.c_str(), &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) pid_ = 0;
    return failed;
  }

  pid_t pid_ = 0;
  int socket_ = -1;
  int error_ = 0;
};

bool try_again() {
  return errno == EINTR || errno == EAGAIN;
}

// Sends the file and takes the answer, until the other side has closed its end, has sent more than `most`
// bytes, does not greet, or time is up.
std::string exchange(int socket, std::string_view file, uint64_t most, Clock::time_point end) {
  std::string answer;
  std::vector<char> buffer(std::size_t{1} << 16);
  while (answer.size() <= most && kH5Greeting.starts_with(answer.substr(0, kH5Greeting.size()))) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd state{socket, static_cast<short>(POLLIN | (file.empty() ? 0 : POLLOUT)), 0};
    const int ready = left > 0 ? poll(&state, 1, static_cast<int>(std::min<int64_t>(left, 1000))) : 0;
    if (left <= 0 || (ready < 0 && errno != EINTR)) break;
    if (ready <= 0) continue;
    if ((state.revents & POLLOUT) != 0) {
      const ssize_t sent = send(socket, file.data(), file.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0)
        file.remove_prefix(static_cast<std::size_t>(sent));
      else if (!try_again())
        file = {};  // nobody reads; what was said before may still be there
    }
    if ((state.revents & ~POLLOUT) != 0) {
      const ssize_t count = recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count > 0)
        answer.append(buffer.data(), static_cast<std::size_t>(count));
      else if (count == 0 || !try_again())
        break;
    }
  }
  return answer;
}

}  // namespace

Result<std::string> find_h5_helper() {
  const Companion helper = h5_helper();
  const auto can_run = [](const std::string& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
  };
  if (const auto chosen = chosen_companion(helper)) {
    if (can_run(*chosen)) return *chosen;
    return unavailable(
        fmt::format("{} names {}, which is no program that can be run.", helper.variable, quote(*chosen)));
  }
  const std::vector<std::string> paths = companion_paths(helper);
  const auto found = std::find_if(paths.begin(), paths.end(), can_run);
  if (found != paths.end()) return *found;
  return unavailable(fmt::format(
      "the program {} is not there. Looked for: {}. Build the target convsmith_h5dump, install the package "
      "convsmith-hdf5, or set {} to its path.",
      helper.file, fmt::join(paths, ", "), helper.variable));
}

Result<std::string> ask_h5_helper(std::string_view bytes) {
  const Result<std::string> program = find_h5_helper();
  if (!program) return tl::unexpected(program.error());
  const Child child(*program, bytes.size());
  if (child.error() != 0)
    return unavailable(fmt::format("{} could not be started: {}.", *program, std::strerror(child.error())));
  // Texts and names repeat what the file has, so twice the limit of data is never reached by honest files.
  // The child looks at the clock itself; the seconds more are for one that does not.
  const auto end = Clock::now() + std::chrono::seconds(h5_clock_seconds(bytes.size()) + 3);
  std::string answer = exchange(child.socket(), bytes, 2 * h5_size_limit(bytes.size()), end);
  if (!answer.starts_with(kH5Greeting)) {
    return unavailable(fmt::format(
        "{} does not answer as the program of this version does. Its libraries may be missing (try "
        "to run it), or it belongs to another version; {} may name another one.",
        *program, h5_helper().variable));
  }
  answer.erase(0, kH5Greeting.size());
  return answer;
}

}  // namespace convsmith::models
