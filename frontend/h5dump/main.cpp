// convsmith-h5dump SIZE: reads an HDF5 file of SIZE bytes from standard input and writes records to standard
// output. The library starts it for each file (frontend/models/h5_helper), because the HDF5 library believes
// what a file says about itself: here it has little memory, little time and nothing to spoil.
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "frontend/h5dump/h5_dump.hpp"
#include "frontend/models/h5_records.hpp"

namespace {

using namespace convsmith::models;

// Sanitizers reserve terabytes of addresses, so the limit of memory is left out with them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitMemory = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool kLimitMemory = false;
#else
constexpr bool kLimitMemory = true;
#endif
#else
constexpr bool kLimitMemory = true;
#endif

void limit(int resource, uint64_t value) {
  const rlimit wanted{value, value};
  setrlimit(static_cast<__rlimit_resource_t>(resource), &wanted);
}

void limit_time(uint64_t file_bytes) {
  const uint64_t milliseconds = h5_cpu_milliseconds(file_bytes);
  const itimerval cpu_time{
      {0, 0},
      {static_cast<time_t>(milliseconds / 1000), static_cast<suseconds_t>(milliseconds % 1000 * 1000)}};
  setitimer(ITIMER_PROF, &cpu_time, nullptr);
  alarm(static_cast<unsigned>(h5_clock_seconds(file_bytes)));
}

// Beyond what the process has now.
void limit_memory(uint64_t file_bytes) {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  limit(RLIMIT_AS, pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + (uint64_t{128} << 20) +
                       2 * h5_size_limit(file_bytes));
}

std::optional<uint64_t> parse_size(int argc, char** argv) {
  if (argc != 2) return std::nullopt;
  uint64_t size = 0;
  const char* const last = argv[1] + std::strlen(argv[1]);
  const auto [end, error] = std::from_chars(argv[1], last, size);
  return error == std::errc() && end == last && size > 0 ? std::optional(size) : std::nullopt;
}

bool read_exactly(std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = read(STDIN_FILENO, bytes.data() + done, bytes.size() - done);
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<uint64_t> size = parse_size(argc, argv);
  if (!size) {
    std::fputs(
        "convsmith-h5dump reads HDF5 files for convsmith, which starts it; by itself it is of no use.\n",
        stderr);
    return 2;
  }
  limit(RLIMIT_CORE, 0);
  limit_time(*size);
  if (write(STDOUT_FILENO, kH5Greeting.data(), kH5Greeting.size()) < 0) return 1;
  std::string bytes(*size, '\0');
  if (!read_exactly(bytes)) return 1;
  if constexpr (kLimitMemory) limit_memory(*size);
  dump_h5(bytes, STDOUT_FILENO);
  _exit(0);  // no destructors of a library that may be spoilt
}
