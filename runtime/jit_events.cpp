#include "runtime/jit_events.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <span>
#include <string>

#include "codegen/code_memory.hpp"
#include "codegen/machine_kernel.hpp"
#include "frontend/base/check.hpp"
#include "runtime/compile.hpp"
#include "runtime/host/gdb_jit.hpp"
#include "runtime/host/jit_dump.hpp"
#include "runtime/host/private_folder.hpp"
#include "runtime/host/verbose.hpp"

namespace convsmith {

namespace {

struct Tools {
  bool perf = false;
  bool jitdump = false;
  bool gdb = false;
};

Result<Tools> parse_tools(std::string_view text) {
  Tools tools;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view tool = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), tool.size() + 1));
    bool* const wanted = tool == "perf"      ? &tools.perf
                         : tool == "jitdump" ? &tools.jitdump
                         : tool == "gdb"     ? &tools.gdb
                                             : nullptr;
    if (wanted == nullptr) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format("CONVSMITH_PROFILE is '{}'; it must be perf, jitdump, gdb, or several of them with "
                      "commas.",
                      text));
    }
    *wanted = true;
  }
  return tools;
}

Result<Tools> tools_of_environment() {
  const char* const text = secure_getenv("CONVSMITH_PROFILE");
  return parse_tools(text == nullptr ? "" : text);
}

// The lock of everything below. Held across fork(), so that no child inherits it from a thread it lacks.
std::mutex& events_mutex() {
  static auto* const mutex = new std::mutex;
  static const int registered =
      pthread_atfork([] { mutex->lock(); }, [] { mutex->unlock(); }, [] { mutex->unlock(); });
  CONVSMITH_CHECK(registered == 0, "pthread_atfork failed");
  return *mutex;
}

// perf reads the map of a process when it reports, by the number of the process.
class PerfMap {
 public:
  explicit PerfMap(pid_t process) : path_(fmt::format("/tmp/perf-{}.map", process)) {
    constexpr int kFlags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    file_ = Descriptor(open(path_.c_str(), kFlags | O_CREAT | O_EXCL, 0600));
    // Other compilers of the process (those of Python, Java) append to the same file.
    if (!file_ && errno == EEXIST) file_ = own(open(path_.c_str(), kFlags));
    if (!file_) give_up(std::strerror(errno));
  }

  void add(const std::string& name, std::span<const uint8_t> code) {
    if (!file_) return;
    const std::string line =
        fmt::format("{:x} {:x} {}\n", reinterpret_cast<uintptr_t>(code.data()), code.size(), name);
    if (!write_all(file_.get(), {reinterpret_cast<const uint8_t*>(line.data()), line.size()}))
      give_up(std::strerror(errno));
  }

 private:
  static Descriptor own(int fd) {
    Descriptor file(fd);
    struct stat status {};
    if (!file) return file;
    errno = EPERM;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1 ||
        distrust(status, geteuid()) != nullptr)
      return Descriptor();
    return file;
  }

  void give_up(std::string_view why) {
    say(1, fmt::format("CONVSMITH_PROFILE: {} can't be written: {}.", path_, why));
    file_ = Descriptor();
  }

  std::string path_;
  Descriptor file_;
};

// The files of one process.
struct Files {
  explicit Files(const Tools& tools, pid_t process) : process(process) {
    if (tools.perf) map = std::make_unique<PerfMap>(process);
    if (!tools.jitdump) return;
    auto opened = JitDump::open(process);
    if (opened) dump = std::make_unique<JitDump>(std::move(*opened));
    if (!opened) say(1, fmt::format("CONVSMITH_PROFILE: {}", opened.error()));
  }

  pid_t process;
  std::unique_ptr<PerfMap> map;
  std::unique_ptr<JitDump> dump;
};

// Under the lock.
void write_files(const Tools& tools, const std::string& name, std::span<const uint8_t> code) {
  static auto& files = *new std::unique_ptr<Files>;  // threads may compile until the process ends
  if (!tools.perf && !tools.jitdump) return;
  if (files == nullptr || files->process != getpid()) files = std::make_unique<Files>(tools, getpid());
  if (files->map != nullptr) files->map->add(name, code);
  if (files->dump == nullptr || files->dump->add(name, code)) return;
  say(1, fmt::format("CONVSMITH_PROFILE: the jitdump file can't be written: {}.", std::strerror(errno)));
  files->dump.reset();
}

// A kernel that GDB knows.
class KnownKernel final : public Kernel {
 public:
  KnownKernel(std::unique_ptr<Kernel> kernel, const std::string& name, std::span<const uint8_t> code)
      : kernel_(std::move(kernel)), entry_(register_with_gdb(name, code)) {}
  ~KnownKernel() override {
    const std::lock_guard lock(events_mutex());
    unregister_with_gdb(std::move(entry_));
  }
  void run(const KernelArgs& args) const noexcept override { kernel_->run(args); }
  Code code() const override { return kernel_->code(); }

 private:
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<GdbEntry> entry_;
};

std::unique_ptr<Kernel> to_private_memory(std::unique_ptr<Kernel> kernel) {
  // Never destroyed, as that of process_code_memory.
  static auto& memory = *[] {
    auto* const own = new Result<CodeMemory>(CodeMemory::create_private());
    if (*own)
      say(1, "CONVSMITH_PROFILE: kernels live in private memory, written first and made executable then.");
    return own;
  }();
  const Kernel::Code code = kernel->code();
  auto copy = memory ? publish(*memory, code.bytes, code.entry) : tl::unexpected(memory.error());
  if (copy) return std::move(*copy);
  say(1,
      fmt::format("CONVSMITH_PROFILE: {} perf may show no names, and GDB may set no breakpoints in kernels.",
                  copy.error().message));
  return kernel;
}

}  // namespace

Result<void> check_tools(std::string_view text) {
  const Result<Tools> tools = parse_tools(text);
  if (!tools) return tl::unexpected(tools.error());
  return {};
}

Result<std::unique_ptr<Kernel>> announce_kernel(std::unique_ptr<Kernel> kernel, std::string_view name,
                                                Backend backend, Isa isa) {
  static const Result<Tools> tools = tools_of_environment();
  if (!tools) return tl::unexpected(tools.error());
  if (!tools->perf && !tools->jitdump && !tools->gdb) return kernel;
  std::string symbol = fmt::format("{}.{}.{}", name, backend_name(backend), isa_name(isa));
  for (char& c : symbol) {
    if (c <= ' ' || c > '~') c = '_';
  }
  if (tools->perf || tools->gdb) kernel = to_private_memory(std::move(kernel));
  const Kernel::Code code = kernel->code();
  const std::span<const uint8_t> function = code.bytes.subspan(code.entry);
  const std::lock_guard lock(events_mutex());
  write_files(*tools, symbol, function);
  if (!tools->gdb) return kernel;
  return std::make_unique<KnownKernel>(std::move(kernel), symbol, function);
}

}  // namespace convsmith
