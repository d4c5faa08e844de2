#include "runtime/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>

#include "codegen/llvm_loader.hpp"
#include "frontend/models/load_model.hpp"
#include "runtime/compile.hpp"
#include "runtime/disk_cache.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/jit_events.hpp"
#include "runtime/tuning.hpp"

namespace convsmith {

namespace {

template <class T>
Result<void> without_value(const Result<T>& result) {
  if (!result) return tl::unexpected(result.error());
  return {};
}

std::optional<int> whole_number(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<void> check_folder(const std::string& path) {
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  if (is_folder && access(path.c_str(), W_OK) == 0) return {};
  return make_error(ErrorCode::kIo,
                    fmt::format("JITDUMPDIR is '{}', which {}; it must be a folder that can be written.",
                                path, is_folder ? std::strerror(errno) : "is no folder"));
}

// The variable is read once, so what it gave is what counts.
Result<void> check_llvm_module(const std::string&) {
  return without_value(load_llvm_module());
}

constexpr EnvironmentVariable kVariables[] = {
    {"CONVSMITH_VERBOSE", "0, 1 or 2",
     [](const std::string& value) { return without_value(parse_verbose_level(value)); }},
    {"CONVSMITH_DUMP", "graph, nest, schedule, vir, regalloc, asm, llvm, several of them with commas, or all",
     [](const std::string& value) { return check_stages(value); }},
    {"CONVSMITH_MAX_ISA", "baseline, avx2 or avx512",
     [](const std::string& value) { return without_value(parse_isa_cap(value)); }},
    {"CONVSMITH_NUM_THREADS", "a whole number from 1 to 1024",
     [](const std::string& value) { return without_value(parse_thread_count(value)); }},
    {"CONVSMITH_LLVM_MODULE", "the path of this build's libconvsmith_llvm.so", check_llvm_module},
    {"CONVSMITH_H5_HELPER", "the path of this version's convsmith-h5dump",
     [](const std::string&) { return check_model_files(); }},
    {"CONVSMITH_CACHE_DIR", "a folder of this user's that nobody else can write to",
     [](const std::string& value) { return DiskCache::check(value); }},
    {"CONVSMITH_CACHE_BYTES", "a whole number of bytes",
     [](const std::string& value) { return without_value(parse_cache_bytes(value)); }},
    {"CONVSMITH_TUNING", "the path of a file that tune wrote",
     [](const std::string& value) { return without_value(load_tuning(value)); }},
    {"CONVSMITH_PROFILE", "perf, jitdump, gdb, or several of them with commas",
     [](const std::string& value) { return check_tools(value); }},
    {"JITDUMPDIR", "a folder that can be written, for CONVSMITH_PROFILE=jitdump", check_folder}};

}  // namespace

std::span<const EnvironmentVariable> environment_variables() {
  return kVariables;
}

Result<int> parse_verbose_level(std::string_view text) {
  const std::optional<int> level = whole_number(text);
  if (level && *level >= 0 && *level <= 2) return *level;
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("CONVSMITH_VERBOSE is '{}'; it must be 0, 1 or 2.", text));
}

Result<int> parse_thread_count(std::string_view text) {
  const std::optional<int> threads = whole_number(text);
  if (threads && *threads >= 1 && *threads <= kMostThreads) return *threads;
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("CONVSMITH_NUM_THREADS is '{}'; it must be a whole number from 1 to {}.",
                                text, kMostThreads));
}

}  // namespace convsmith
