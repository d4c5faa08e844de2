// A run on one thread, after the first one, allocates nothing, locks nothing and calls no system, so
// that it may stand in an audio callback.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>

#include "convsmith/convsmith.hpp"
#include "convsmith/model.hpp"
#include "tests/support/places.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/sanitizers.hpp"
#include "tests/support/seccomp.hpp"

namespace {
// What this thread did since it last looked. Plain thread_local integers need no allocation themselves.
[[maybe_unused]] constinit thread_local long allocations = 0;
constinit thread_local long locks = 0;
}  // namespace

// Sanitizers have a malloc and locks of their own; there only the system calls are counted.
#if defined(__GLIBC__) && !CONVSMITH_TEST_SANITIZED
#define CONVSMITH_TEST_COUNTS
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
  ++allocations;
  return __libc_realloc(block, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  ++allocations;
  *block = __libc_memalign(alignment, bytes);
  return *block != nullptr || bytes == 0 ? 0 : ENOMEM;
}
void free(void* block) {
  ++allocations;
  __libc_free(block);
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  using Lock = int (*)(pthread_mutex_t*);
  static std::atomic<Lock> real{nullptr};
  Lock lock = real.load(std::memory_order_relaxed);
  if (lock == nullptr) {
    lock = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
    real.store(lock, std::memory_order_relaxed);
  }
  ++locks;
  return lock(mutex);
}
}
#endif

namespace convsmith::test {
namespace {

// Layers of every form: lanes over filters, over steps (which use scratch), over channels; padding.
constexpr const char* kLayers[] = {
    "Conv1D(40, 3, padding='same', activation='tanh', input_shape=(None, 12))",
    "Conv1D(2, 5, strides=2, activation='relu', input_shape=(None, 24))",
    "Conv1D(24, 3, groups=24, padding='causal', input_shape=(None, 24))",
    "Conv1D(6, 4, dilation_rate=3, data_format='channels_first', input_shape=(9, None))",
    "Conv1DTranspose(5, 4, strides=3, padding='same', input_shape=(None, 7))",
    "SeparableConv1D(9, 3, padding='same', activation='softmax', input_shape=(None, 20))",
    "Conv1DTranspose(5, 4, strides=3, data_format='channels_first', input_shape=(7, None))",
};

// A call of a layer or model, ready to be repeated.
struct Runner {
  std::function<RunStatus(const float* input, float* output, const RunOptions& options)> call;
  std::vector<float> input;
  std::vector<float> output;
  std::vector<std::byte> memory;
  static constexpr int64_t kSteps = 50;

  bool run(bool own_memory) {
    void* workspace = own_memory && !memory.empty() ? memory.data() : nullptr;
    return call(input.data(), output.data(), {.workspace = workspace}) == RunStatus::kOk;
  }
};

Runner layer_runner(const CompiledLayer& layer) {
  std::vector<std::vector<float>> arrays;
  for (const WeightShape& weight : layer.weight_shapes()) {
    int64_t size = 1;
    for (const int64_t axis : weight.shape) size *= axis;
    arrays.emplace_back(static_cast<size_t>(size), 0.25F);
  }
  const PackedWeights weights =
      layer.pack(std::vector<std::span<const float>>(arrays.begin(), arrays.end())).value();
  return {[layer, weights](const float* in, float* out, const RunOptions& options) {
            return layer.run(weights, in, out, 1, Runner::kSteps, options);
          },
          std::vector<float>(static_cast<size_t>(Runner::kSteps * layer.channels()), 0.125F),
          std::vector<float>(static_cast<size_t>(layer.output_steps(Runner::kSteps) * layer.filters())),
          std::vector<std::byte>(layer.workspace_bytes(1, Runner::kSteps))};
}

// A whole network: transposed phases, several slots.
std::vector<Runner> model_runners(const Place& place) {
  std::vector<Runner> runners;
  const auto model = load_model({places::test_data("models/ecg_denoiser/model.keras")});
  if (!model && model.error().code == ErrorCode::kUnavailable) return runners;
  EXPECT_TRUE(model) << model.error().message;
  const auto compiled = compile(*model, {.backend = place.backend, .isa = place.isa});
  EXPECT_TRUE(compiled) << compiled.error().message;
  const int64_t steps = Runner::kSteps;
  runners.push_back({[compiled = *compiled](const float* in, float* out, const RunOptions& options) {
                       return compiled.run(in, out, 1, Runner::kSteps, options);
                     },
                     std::vector<float>(static_cast<size_t>(steps), 0.125F), std::vector<float>(56),
                     std::vector<std::byte>(compiled->workspace_bytes(1, {&steps, 1}))});
  return runners;
}

std::vector<Runner> make_runners(const Place& place) {
  std::vector<Runner> runners = model_runners(place);
  for (const char* text : kLayers) {
    auto layer = compile(text, {.backend = place.backend, .isa = place.isa});
    EXPECT_TRUE(layer.has_value()) << text << ": " << layer.error().message;
    if (layer) runners.push_back(layer_runner(*layer));
  }
  return runners;
}

bool run_all(std::vector<Runner>& runners, int times) {
  bool ok = true;
  for (int i = 0; i < times; ++i) {
    for (Runner& runner : runners) ok = runner.run(i % 2 == 0) && ok;
  }
  return ok;
}

class RealtimeTest : public testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(Places, RealtimeTest, testing::ValuesIn(all_places()),
                         [](const auto& info) { return name_of(info.param); });

TEST_P(RealtimeTest, RunAllocatesAndLocksNothing) {
#if defined(CONVSMITH_TEST_COUNTS)
  // The hooks are in force.
  const long before = allocations;
  void* volatile block = std::malloc(100);
  std::free(block);
  EXPECT_GE(allocations, before + 2);
  std::vector<Runner> runners = make_runners(GetParam());
  EXPECT_GT(locks, 0);
  ASSERT_TRUE(run_all(runners, 2));
  allocations = 0;
  locks = 0;
  const bool ok = run_all(runners, 100);
  const long counted_allocations = allocations;
  const long counted_locks = locks;
  EXPECT_TRUE(ok);
  EXPECT_EQ(counted_allocations, 0);
  EXPECT_EQ(counted_locks, 0);
#else
  GTEST_SKIP() << "The sanitizer has an allocator of its own.";
#endif
}

TEST_P(RealtimeTest, RunMakesNoSystemCall) {
  if (CONVSMITH_TEST_SANITIZED) GTEST_SKIP() << "a sanitizer makes system calls of its own";
  std::vector<Runner> runners = make_runners(GetParam());
  const int times = GetParam().backend == Backend::kInterp ? 50 : 1000;
  const std::string end = run_in_child([&] {
    if (!run_all(runners, 2)) return false;
    if (!install(no_system_calls_filter())) return false;
    return run_all(runners, times);
  });
  EXPECT_EQ(end, "exit 0") << "signal " << SIGSYS << " is a system call";
}

TEST_P(RealtimeTest, RunFaultsNoPageIn) {
  std::vector<Runner> runners = make_runners(GetParam());
  ASSERT_TRUE(run_all(runners, 2));
  const auto faults = [] {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
  };
  // The system may take a page back at any time; it does not do so three times in a row.
  long least = 1;
  for (int attempt = 0; attempt < 3 && least > 0; ++attempt) {
    const long before = faults();
    ASSERT_TRUE(run_all(runners, 20));
    least = std::min(least, faults() - before);
  }
  EXPECT_EQ(least, 0);
}

}  // namespace
}  // namespace convsmith::test
