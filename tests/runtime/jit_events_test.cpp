// What profilers and debuggers get to know of a kernel: perf's map, jitdump, GDB's list.
#include "runtime/jit_events.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "runtime/host/gdb_jit.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/seccomp.hpp"

namespace convsmith::test {
namespace {

using cli_test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kName = "conv1d.nwc.3x5.k2";

std::shared_ptr<const CompiledKernel> compile_at(const Place& place) {
  Problem problem;
  problem.channels = 3;
  problem.filters = 5;
  problem.taps = 2;
  auto kernel = compile_problem(problem, place.backend, place.isa, "", process_code_memory().value());
  if (!kernel) throw std::runtime_error(kernel.error().message);
  return *kernel;
}

std::string symbol_at(const Place& place) {
  return fmt::format("{}.{}.{}", kName, backend_name(place.backend), isa_name(place.isa));
}

uintptr_t entry_of(const CompiledKernel& kernel) {
  const Kernel::Code code = kernel.kernel->code();
  return reinterpret_cast<uintptr_t>(code.bytes.data()) + code.entry;
}

// From the entry on.
std::string code_of(const CompiledKernel& kernel) {
  const Kernel::Code code = kernel.kernel->code();
  return {reinterpret_cast<const char*>(code.bytes.data()) + code.entry, code.bytes.size() - code.entry};
}

std::string map_path() {
  return fmt::format("/tmp/perf-{}.map", getpid());
}

// Removes the map of this process, as perf never does.
struct MapOfThisProcess {
  MapOfThisProcess() { std::filesystem::remove(map_path()); }
  ~MapOfThisProcess() { std::filesystem::remove(map_path()); }
};

// The one function of the ELF object of an entry.
struct GdbFunction {
  std::string name;
  uint64_t address;
  uint64_t bytes;
  std::string code;
};

GdbFunction function_of(const jit_code_entry& entry) {
  const char* const file = entry.symfile_addr;
  Elf64_Ehdr head;
  std::memcpy(&head, file, sizeof head);
  EXPECT_EQ(std::memcmp(head.e_ident, ELFMAG, SELFMAG), 0);
  std::vector<Elf64_Shdr> sections(head.e_shnum);
  std::memcpy(sections.data(), file + head.e_shoff, sections.size() * sizeof(Elf64_Shdr));
  GdbFunction function{};
  int functions = 0;
  for (const Elf64_Shdr& table : sections) {
    EXPECT_LE(table.sh_type == SHT_NOBITS ? 0 : table.sh_offset + table.sh_size, entry.symfile_size);
    if (table.sh_type != SHT_SYMTAB) continue;
    for (size_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, file + table.sh_offset + i * sizeof symbol, sizeof symbol);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      ++functions;
      const Elf64_Shdr& text = sections[symbol.st_shndx];
      function = {file + sections[table.sh_link].sh_offset + symbol.st_name, text.sh_addr + symbol.st_value,
                  symbol.st_size, std::string(file + text.sh_offset, text.sh_size)};
    }
  }
  EXPECT_EQ(functions, 1);
  return function;
}

std::vector<const jit_code_entry*> known_to_gdb() {
  std::vector<const jit_code_entry*> entries;
  const jit_code_entry* previous = nullptr;
  for (const jit_code_entry* e = __jit_debug_descriptor.first_entry; e != nullptr; e = e->next_entry) {
    EXPECT_EQ(e->prev_entry, previous);
    previous = e;
    entries.push_back(e);
  }
  return entries;
}

TEST(JitEvents, PerfMapNamesEachKernelWhereItRuns) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "perf", 1);
  const MapOfThisProcess remove;
  for (const Place& place : machine_code_places()) {
    const auto kernel = compile_at(place);
    std::istringstream lines(TemporaryFolder::read(map_path()));
    size_t found = 0;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      uintptr_t address = 0;
      size_t bytes = 0;
      std::string name;
      ASSERT_TRUE(words >> std::hex >> address >> bytes >> name) << line;
      if (name != symbol_at(place)) continue;
      ++found;
      EXPECT_EQ(address, entry_of(*kernel));
      EXPECT_EQ(bytes, code_of(*kernel).size());
    }
    EXPECT_EQ(found, 1U) << name_of(place);
  }
  struct stat status {};
  ASSERT_EQ(stat(map_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

// perf has names for addresses in anonymous memory only, GDB breakpoints in private memory only.
TEST(JitEvents, WatchedKernelsRunInPrivateMemoryWhereTheHostAllowsIt) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "gdb", 1);
  setenv("CONVSMITH_VERBOSE", "1", 1);
  const auto line_of = [](const CompiledKernel& kernel) {
    for (const std::string& line : memory_maps()) {
      const uintptr_t begin = std::stoull(line, nullptr, 16);
      const uintptr_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
      if (begin <= entry_of(kernel) && entry_of(kernel) < end) return line;
    }
    return std::string("nowhere");
  };
  const Place place = machine_code_places().front();
  testing::internal::CaptureStderr();
  auto kernel = compile_at(place);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("CONVSMITH_PROFILE: kernels live in private memory"));
  EXPECT_THAT(line_of(*kernel), AllOf(HasSubstr(" r-xp 00000000 00:00 0"), Not(HasSubstr("memfd"))));
  EXPECT_EQ(writable_and_executable(), "");
  ASSERT_TRUE(refuse_exec_gain());
  testing::internal::CaptureStderr();
  kernel = compile_at(place);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("making private memory executable failed"));
  EXPECT_THAT(line_of(*kernel), HasSubstr("memfd:convsmith-code"));
  EXPECT_EQ(known_to_gdb().size(), 1U);
  EXPECT_EQ(function_of(*known_to_gdb().front()).address, entry_of(*kernel));
}

TEST(JitEvents, PerfMapOfOtherCompilersIsContinuedOfOtherUsersIsNot) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "perf", 1);
  setenv("CONVSMITH_VERBOSE", "1", 1);
  const MapOfThisProcess remove;
  const auto in_child = [](mode_t mode, bool as_link) {
    return run_in_child([&] {
      const MapOfThisProcess remove_of_child;
      const TemporaryFolder folder;
      const std::string path = as_link ? folder.write("elsewhere", "1 2 python\n") : map_path();
      std::ofstream(path) << "1 2 python\n";
      chmod(path.c_str(), mode);
      if (as_link) std::filesystem::create_symlink(path, map_path());
      testing::internal::CaptureStderr();
      const auto kernel = compile_at(machine_code_places().front());
      const std::string said = testing::internal::GetCapturedStderr();
      const std::string map = TemporaryFolder::read(path);
      const bool continued = map.starts_with("1 2 python\n") && map.find(kName) != std::string::npos;
      const bool left = map == "1 2 python\n" && said.find(map_path() + " can't be written") < said.size();
      return mode == 0600 && !as_link ? continued : left;
    });
  };
  EXPECT_EQ(in_child(0600, false), "exit 0");
  EXPECT_EQ(in_child(0666, false), "exit 0");
  EXPECT_EQ(in_child(0600, true), "exit 0");
}

// The file as the kernel's documentation describes it.
struct DumpReader {
  std::string bytes;
  size_t at = 0;

  template <class T>
  T take() {
    T value{};
    if (at + sizeof value > bytes.size()) throw std::runtime_error("the dump ends too early");
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return value;
  }
};

TEST(JitEvents, JitdumpHoldsTheCode) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_PROFILE", "jitdump", 1);
  setenv("JITDUMPDIR", (folder / ".").c_str(), 1);
  const std::string path = folder / fmt::format("jit-{}.dump", getpid());
  std::vector<std::shared_ptr<const CompiledKernel>> kernels;
  for (const Place& place : machine_code_places()) kernels.push_back(compile_at(place));
  DumpReader dump{TemporaryFolder::read(path)};
  EXPECT_EQ(dump.take<uint32_t>(), 0x4A695444U);
  EXPECT_EQ(dump.take<uint32_t>(), 1U);
  EXPECT_EQ(dump.take<uint32_t>(), 40U);
  EXPECT_EQ(dump.take<uint32_t>(), uint32_t{EM_X86_64});
  dump.take<uint32_t>();
  EXPECT_EQ(dump.take<uint32_t>(), static_cast<uint32_t>(getpid()));
  uint64_t time = dump.take<uint64_t>();
  EXPECT_EQ(dump.take<uint64_t>(), 0U);
  for (size_t i = 0; i < kernels.size(); ++i) {
    const size_t begin = dump.at;
    EXPECT_EQ(dump.take<uint32_t>(), 0U);  // JIT_CODE_LOAD
    const auto record_bytes = dump.take<uint32_t>();
    const auto written = dump.take<uint64_t>();
    EXPECT_GE(written, time);
    time = written;
    EXPECT_EQ(dump.take<uint32_t>(), static_cast<uint32_t>(getpid()));
    EXPECT_EQ(dump.take<uint32_t>(), static_cast<uint32_t>(getpid()));
    EXPECT_EQ(dump.take<uint64_t>(), entry_of(*kernels[i]));
    EXPECT_EQ(dump.take<uint64_t>(), entry_of(*kernels[i]));
    const auto code_bytes = dump.take<uint64_t>();
    EXPECT_EQ(dump.take<uint64_t>(), i);
    const std::string name = dump.bytes.c_str() + dump.at;
    EXPECT_EQ(name, symbol_at(machine_code_places()[i]));
    dump.at += name.size() + 1;
    EXPECT_EQ(dump.bytes.substr(dump.at, code_bytes), code_of(*kernels[i]));
    dump.at += code_bytes;
    EXPECT_EQ(dump.at - begin, record_bytes);
  }
  EXPECT_EQ(dump.at, dump.bytes.size());
  // perf learns of the file from a mapping of its first page.
  const std::vector<std::string> maps = memory_maps();
  EXPECT_TRUE(std::any_of(maps.begin(), maps.end(), [&](const std::string& line) {
    return line.find("r-xp 00000000") != std::string::npos &&
           line.find(fmt::format("jit-{}.dump", getpid())) != std::string::npos;
  }));
  // A child has a file of its own.
  EXPECT_EQ(run_in_child([&] {
              compile_at(machine_code_places().front());
              return std::filesystem::exists(folder / fmt::format("jit-{}.dump", getpid()));
            }),
            "exit 0");
  EXPECT_EQ(TemporaryFolder::read(path), dump.bytes);
}

TEST(JitEvents, GdbKnowsAKernelAsLongAsItLives) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "gdb", 1);
  EXPECT_EQ(__jit_debug_descriptor.version, 1U);
  EXPECT_TRUE(known_to_gdb().empty());
  const Place place = machine_code_places().front();
  auto first = compile_at(place);
  auto second = compile_at(place);
  auto third = compile_at(place);
  ASSERT_EQ(known_to_gdb().size(), 3U);
  const GdbFunction function = function_of(*known_to_gdb().back());
  EXPECT_EQ(function.name, symbol_at(place));
  EXPECT_EQ(function.address, entry_of(*first));
  EXPECT_EQ(function.bytes, code_of(*first).size());
  EXPECT_EQ(function.code, code_of(*first));
  second.reset();  // from the middle
  ASSERT_EQ(known_to_gdb().size(), 2U);
  EXPECT_EQ(function_of(*known_to_gdb()[0]).address, entry_of(*third));
  EXPECT_EQ(function_of(*known_to_gdb()[1]).address, entry_of(*first));
  third.reset();
  first.reset();
  EXPECT_TRUE(known_to_gdb().empty());
}

TEST(JitEvents, KernelsFromDiskAreKnownToo) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_CACHE_DIR", (folder / ".").c_str(), 1);
  setenv("CONVSMITH_PROFILE", "gdb,perf", 1);
  const auto compile_in_child = [](uint64_t loads) {
    return run_in_child([&] {
      const MapOfThisProcess remove;
      Engine engine;
      const auto layer = engine.compile("Conv1D(5, 2, input_shape=(None, 3))");
      if (!layer || engine.stats().loads != loads || known_to_gdb().size() != 1) return false;
      const GdbFunction function = function_of(*known_to_gdb().front());
      return function.name == symbol_at({layer->backend(), layer->isa()}) &&
             TemporaryFolder::read(map_path()).starts_with(fmt::format("{:x} ", function.address));
    });
  };
  EXPECT_EQ(compile_in_child(0), "exit 0");
  EXPECT_EQ(compile_in_child(1), "exit 0");
}

TEST(JitEvents, NothingHappensUnasked) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  unsetenv("CONVSMITH_PROFILE");
  setenv("JITDUMPDIR", (folder / ".").c_str(), 1);
  const auto kernel = compile_at(machine_code_places().front());
  EXPECT_TRUE(known_to_gdb().empty());
  EXPECT_EQ(folder.count(), 0U);
  EXPECT_FALSE(std::filesystem::exists(map_path()));
}

TEST(JitEvents, AFolderThatRefusesIsOneSentence) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "jitdump", 1);
  setenv("CONVSMITH_VERBOSE", "1", 1);
  setenv("JITDUMPDIR", "/nowhere", 1);
  testing::internal::CaptureStderr();
  const Place place = machine_code_places().front();
  const auto kernels = {compile_at(place), compile_at(place)};
  const std::string said = testing::internal::GetCapturedStderr();
  const size_t at = said.find("CONVSMITH_PROFILE");
  EXPECT_THAT(said, HasSubstr(fmt::format("CONVSMITH_PROFILE: /nowhere/jit-{}.dump can't be written: No such "
                                          "file or directory.",
                                          getpid())));
  EXPECT_EQ(said.find("CONVSMITH_PROFILE", at + 1), std::string::npos) << kernels.size();
}

TEST(JitEvents, UnknownToolsAreErrors) {
  if (!in_fresh_process()) return;
  setenv("CONVSMITH_PROFILE", "perf,vtune", 1);
  Engine engine;
  const auto layer = engine.compile("Conv1D(5, 2, input_shape=(None, 3))");
  ASSERT_FALSE(layer);
  EXPECT_EQ(layer.error().code, ErrorCode::kInvalidSpec);
  EXPECT_EQ(
      layer.error().message,
      "CONVSMITH_PROFILE is 'perf,vtune'; it must be perf, jitdump, gdb, or several of them with commas.");
}

}  // namespace
}  // namespace convsmith::test
