// Hosts that forbid things: no memory is ever writable and executable, machine code needs no right to
// make it so, and where it is forbidden altogether the interpreter answers and says so.
#include <gtest/gtest.h>

#include "convsmith/convsmith.h"
#include "convsmith/convsmith.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/layer_shapes.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/seccomp.hpp"

namespace convsmith::test {
namespace {

constexpr const char* kText = "Conv1D(19, 3, padding='same', activation='tanh', input_shape=(None, 5))";

size_t count_of(const std::string& text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Output bits of a layer on data that its sizes give.
std::vector<uint32_t> run_bits(const CompiledLayer& layer) {
  constexpr int64_t kSteps = 37;
  const auto wave = [](int64_t count) {
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i * 37 % 101 - 50) / 64.0F);
    return values;
  };
  const auto [taps, channels, filters] = test::kernel_shape(layer);
  const auto weights = layer.pack(wave(taps * channels * filters), wave(test::has_bias(layer) ? filters : 0));
  const std::vector<float> input = wave(kSteps * layer.channels());
  std::vector<float> output(static_cast<size_t>(layer.output_steps(kSteps) * filters), -7.0F);
  EXPECT_EQ(layer.run(*weights, input.data(), output.data(), 1, kSteps), RunStatus::kOk);
  return bits_of(output);
}

// What the other back ends must give; needs no machine code.
std::vector<uint32_t> interpreter_bits(std::string_view text) {
  Engine engine;
  return run_bits(*engine.compile(text, {.backend = Backend::kInterp}));
}

void expect_runs_in(const Place& place, std::string_view text) {
  SCOPED_TRACE(name_of(place));
  Engine engine;
  const auto layer = engine.compile(text, {.backend = place.backend, .isa = place.isa});
  ASSERT_TRUE(layer.has_value()) << layer.error().message;
  EXPECT_EQ(layer->backend(), place.backend);
  EXPECT_GT(layer->code_bytes(), 0U);
  EXPECT_EQ(run_bits(*layer), interpreter_bits(text));
}

// No memory can be made executable here.
void expect_exec_gain_is_refused() {
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  EXPECT_NE(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
  munmap(page, 4096);
  void* const both =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_EQ(both, MAP_FAILED);
}

void expect_full_service() {
  for (const Place& place : machine_code_places()) expect_runs_in(place, kText);
  if (detect_isa() == Isa::kBaseline) return;
  Engine engine;
  const auto layer = engine.compile(kText);
  ASSERT_TRUE(layer.has_value()) << layer.error().message;
  EXPECT_EQ(layer->backend(), Backend::kXbyak);
  EXPECT_EQ(writable_and_executable(), "");
}

TEST(HostRules, EverythingRunsWhereExecGainIsRefused) {
  if (!in_fresh_process()) return;
  ASSERT_TRUE(refuse_exec_gain());
  expect_exec_gain_is_refused();
  expect_full_service();
}

// The stand-in for kernels without PR_SET_MDWE, held to the same.
TEST(HostRules, EverythingRunsUnderTheFilterThatStandsIn) {
  if (!in_fresh_process()) return;
  ASSERT_TRUE(install(exec_gain_filter()));
  expect_exec_gain_is_refused();
  expect_full_service();
}

TEST(HostRules, NoPageIsWritableAndExecutable) {
  if (!in_fresh_process()) return;  // mappings of other tests are not ours
  Engine engine(256 << 10);         // small, so that memory is used again
  const std::vector<Place> xbyak = places_of(Backend::kXbyak);
  for (int64_t i = 0; i < 300 && !xbyak.empty(); ++i) {
    const Place& place = xbyak[static_cast<size_t>(i) % xbyak.size()];
    const LayerSpec spec{.filters = 1 + i % 50, .kernel_size = 1 + i / 50, .input_shape = {{}, 7}};
    const auto layer = engine.compile(spec, {.backend = place.backend, .isa = place.isa});
    ASSERT_TRUE(layer.has_value()) << layer.error().message;
    ASSERT_EQ(writable_and_executable(), "") << "after compile " << i;
  }
  for (const Place& place : places_of(Backend::kLlvm)) {
    for (int64_t i = 1; i <= 5; ++i) {
      const LayerSpec spec{.filters = 9 * i, .kernel_size = 3, .input_shape = {{}, 7}};
      ASSERT_TRUE(engine.compile(spec, {.backend = place.backend, .isa = place.isa}));
      ASSERT_EQ(writable_and_executable(), "") << name_of(place);
    }
  }
}

// The second way: private memory, first written and then executable.
TEST(HostRules, EverythingRunsWithoutMemfd) {
  if (!in_fresh_process()) return;
  ASSERT_EQ(setenv("CONVSMITH_VERBOSE", "1", 1), 0);
  ASSERT_TRUE(install(no_memfd_filter()));
  testing::internal::CaptureStderr();
  expect_full_service();
  EXPECT_EQ(code_memory_kind(), CodeMemoryKind::kPrivate);
  EXPECT_EQ(convsmith_code_memory(), CONVSMITH_CODE_MEMORY_PRIVATE);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count_of(said, "memfd_create"), 1U) << said;
  EXPECT_EQ(count_of(said, "Machine code lives in private memory instead"), 1U) << said;
}

TEST(HostRules, WhichMemoryWasGrantedCanBeAskedFor) {
  if (!in_fresh_process()) return;
  EXPECT_EQ(code_memory_kind(), CodeMemoryKind::kShared);
  EXPECT_EQ(convsmith_code_memory(), CONVSMITH_CODE_MEMORY_SHARED);
}

// MDWE alone leaves the first way; with the filter, too, there is none.
TEST(HostRules, NeitherWayLeavesTheInterpreter) {
  if (!in_fresh_process()) return;
  ASSERT_TRUE(install(no_memfd_filter()));
  ASSERT_TRUE(refuse_exec_gain());
  expect_exec_gain_is_refused();
  EXPECT_EQ(code_memory_kind(), CodeMemoryKind::kNone);
  EXPECT_EQ(convsmith_code_memory(), CONVSMITH_CODE_MEMORY_NONE);
  Engine engine;
  const auto layer = engine.compile(kText);
  ASSERT_TRUE(layer.has_value()) << layer.error().message;
  EXPECT_EQ(layer->backend(), Backend::kInterp);
}

TEST(HostRules, KernelsOfThePrivateMemoryComeAndGo) {
  if (!in_fresh_process()) return;
  ASSERT_TRUE(install(no_memfd_filter()));
  const auto executable_pages = [] {
    size_t pages = 0;
    for (const std::string& line : memory_maps())
      pages += line.find("r-xp 00000000 00:00 0") != std::string::npos;
    return pages;
  };
  Engine engine(16 << 10);  // forgets at once
  size_t most = 0;
  for (int64_t filters = 1; filters <= 200; ++filters) {
    ASSERT_TRUE(engine.compile(LayerSpec{.filters = filters, .kernel_size = 3, .input_shape = {{}, 7}}));
    if (filters == 20) most = executable_pages();
    ASSERT_EQ(writable_and_executable(), "");
  }
  EXPECT_LE(executable_pages(), most + 8);
  // A child that forgets its copy of a kernel leaves the parent's alone.
  Engine other;
  const auto layer = other.compile(kText);
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(run_in_child([&] { return run_bits(*layer) == interpreter_bits(kText); }), "exit 0");
  EXPECT_EQ(run_bits(*layer), interpreter_bits(kText));
}

// Kernels of a file on disk go the same way.
TEST(HostRules, KernelsFromDiskRunWithoutMemfd) {
  if (!in_fresh_process()) return;
  const cli_test::TemporaryFolder folder;
  ASSERT_EQ(setenv("CONVSMITH_CACHE_DIR", (folder / "kernels").c_str(), 1), 0);
  ASSERT_TRUE(install(no_memfd_filter()));
  for (const Place& place : machine_code_places()) {
    SCOPED_TRACE(name_of(place));
    for (const uint64_t loads : {0U, 1U}) {
      Engine engine;
      const auto layer = engine.compile(kText, {.backend = place.backend, .isa = place.isa});
      ASSERT_TRUE(layer.has_value()) << layer.error().message;
      EXPECT_EQ(engine.stats().loads, loads);
      EXPECT_EQ(run_bits(*layer), interpreter_bits(kText));
    }
  }
  EXPECT_EQ(writable_and_executable(), "");
}
TEST(HostRules, TheInterpreterAnswersWhereCodeIsForbidden) {
  if (!in_fresh_process()) return;
  ASSERT_EQ(setenv("CONVSMITH_VERBOSE", "1", 1), 0);
  ASSERT_TRUE(install(no_code_filter()));
  testing::internal::CaptureStderr();
  Engine engine;
  const auto layer = engine.compile(kText);
  const std::string said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(layer.has_value()) << layer.error().message;
  EXPECT_EQ(layer->backend(), Backend::kInterp);
  EXPECT_EQ(layer->code_bytes(), 0U);
  EXPECT_EQ(run_bits(*layer), interpreter_bits(kText));
  EXPECT_EQ(count_of(said, "memfd_create"), 1U) << said;
  EXPECT_EQ(count_of(said, "The interpreter answers instead."), 1U) << said;
}

// One message, not one for each layer.
TEST(HostRules, TheInterpreterIsAnnouncedOnce) {
  if (!in_fresh_process()) return;
  ASSERT_EQ(setenv("CONVSMITH_VERBOSE", "1", 1), 0);
  ASSERT_TRUE(install(no_code_filter()));
  testing::internal::CaptureStderr();
  Engine engine;
  for (int64_t filters = 1; filters <= 5; ++filters) {
    ASSERT_TRUE(engine.compile(LayerSpec{.filters = filters, .kernel_size = 3, .input_shape = {{}, 7}}));
  }
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count_of(said, "The interpreter answers instead."), 1U) << said;
}

TEST(HostRules, WhoAsksForMachineCodeHearsThatThereIsNone) {
  if (!in_fresh_process()) return;
  ASSERT_TRUE(install(no_code_filter()));
  Engine engine;
  for (const Place& place : machine_code_places()) {
    SCOPED_TRACE(name_of(place));
    const auto layer = engine.compile(kText, {.backend = place.backend, .isa = place.isa});
    ASSERT_FALSE(layer.has_value());
    EXPECT_EQ(layer.error().code, ErrorCode::kUnavailable);
    EXPECT_TRUE(layer.error().message.ends_with('.')) << layer.error().message;
    // The reason, not only the fact.
    EXPECT_NE(layer.error().message.find("memfd_create"), std::string::npos) << layer.error().message;
  }
}

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

TEST(HostRules, TheEnvironmentCapsTheInstructionSet) {
  if (detect_isa() == Isa::kBaseline) GTEST_SKIP() << "There is nothing to cap on this CPU.";
  Engine engine;
  {
    const Environment cap("CONVSMITH_MAX_ISA", "avx2");
    const auto layer = engine.compile(kText);
    ASSERT_TRUE(layer.has_value()) << layer.error().message;
    EXPECT_EQ(layer->isa(), Isa::kAvx2);
    EXPECT_EQ(layer->backend(), Backend::kXbyak);
  }
  {
    Engine other;
    const Environment cap("CONVSMITH_MAX_ISA", "baseline");
    const auto layer = other.compile(kText);
    ASSERT_TRUE(layer.has_value()) << layer.error().message;
    EXPECT_EQ(layer->isa(), Isa::kBaseline);
    EXPECT_EQ(layer->backend(), llvm_is_built() ? Backend::kLlvm : Backend::kInterp);
    EXPECT_EQ(run_bits(*layer), interpreter_bits(kText));
    // Options win over the environment; without one for the instruction set, Xbyak has none to use.
    EXPECT_TRUE(other.compile(kText, {.backend = Backend::kXbyak, .isa = Isa::kAvx2}).has_value());
    const auto capped = other.compile(kText, {.backend = Backend::kXbyak});
    ASSERT_FALSE(capped.has_value());
    EXPECT_EQ(capped.error().code, ErrorCode::kUnavailable);
  }
}

TEST(HostRules, AnUnknownCapIsAnError) {
  Engine engine;
  const Environment cap("CONVSMITH_MAX_ISA", "avx1024");
  const auto layer = engine.compile(kText);
  ASSERT_FALSE(layer.has_value());
  EXPECT_NE(layer.error().message.find("CONVSMITH_MAX_ISA is 'avx1024'"), std::string::npos)
      << layer.error().message;
}

TEST(HostRules, TheEnvironmentSetsTheThreadsOfAPool) {
  const Environment threads("CONVSMITH_NUM_THREADS", "3");
  EXPECT_EQ(ThreadPool().threads(), 3);
  EXPECT_EQ(ThreadPool(2).threads(), 2);
}

}  // namespace
}  // namespace convsmith::test
