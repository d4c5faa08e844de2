// Artifacts: shared libraries that `convsmith compile` made, run as if they were compiled here.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <utility>

#include "codegen/control_word.hpp"
#include "runtime/aot/artifact_name.hpp"
#include "runtime/capi/c_api_error.hpp"
#include "runtime/capi/c_api_model.hpp"
#include "runtime/host/thread_memory.hpp"

namespace convsmith::c_api {

namespace {

tl::unexpected<Error> bad_file(const std::string& path, std::string_view why) {
  return make_error(ErrorCode::kInvalidData, fmt::format("The artifact '{}' {}.", path, why));
}

// Whether the parts that would be mapped are all there: the loader maps them unseen, and touching what a file
// that was cut short does not have kills the process.
bool is_whole_library(int file, uint64_t size) {
  Elf64_Ehdr header;
  if (pread(file, &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) return false;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN || header.e_machine != EM_X86_64 ||
      header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > size)
    return false;
  bool is_dynamic = false;
  bool is_mapped = false;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof(part));
    if (pread(file, &part, sizeof(part), at) != static_cast<ssize_t>(sizeof(part))) return false;
    if (part.p_offset > size || part.p_filesz > size - part.p_offset) return false;
    is_dynamic |= part.p_type == PT_DYNAMIC;
    is_mapped |= part.p_type == PT_LOAD;
  }
  return is_dynamic && is_mapped;
}

Result<void> check_opened_file(const std::string& path, int file) {
  struct stat about;
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) return bad_file(path, "is not a regular file");
  if ((about.st_mode & S_IWOTH) != 0) return bad_file(path, "can be written by others, so it is not opened");
  if (about.st_uid != geteuid() && about.st_uid != 0) {
    return bad_file(path, fmt::format("belongs to user {} and not to user {} or root, so it is not opened",
                                      about.st_uid, geteuid()));
  }
  if (!is_whole_library(file, static_cast<uint64_t>(about.st_size)))
    return bad_file(path, "is not a shared library for x86-64, or is cut short");
  return {};
}

Result<void> check_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    return make_error(ErrorCode::kIo,
                      fmt::format("The artifact '{}' can't be opened: {}.", path, std::strerror(errno)));
  }
  auto ok = check_opened_file(path, file);
  close(file);
  return ok;
}

// The functions of an artifact and what its info says. The library stays open as long as somebody holds it.
struct Functions {
  std::shared_ptr<void> library;
  void* run = nullptr;
  void* run_parallel = nullptr;
  void* output_steps = nullptr;
  void* workspace_bytes = nullptr;
  void* parallel_workspace_bytes = nullptr;
  void* info = nullptr;
  void* packed_bytes = nullptr;  // these two are null where weights are embedded
  void* pack = nullptr;
};

template <class Answer, class... Args>
Answer call(void* function, Args... args) {
  return reinterpret_cast<Answer (*)(Args...)>(function)(args...);
}

Result<Functions> open_library(const std::string& path, const std::string& name) {
  // A bare name would be looked for where the system keeps its libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* const opened = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return bad_file(path, fmt::format("can't be loaded: {}", dlerror()));
  Functions f;
  f.library = std::shared_ptr<void>(opened, [](void* library) { dlclose(library); });
  const std::pair<void**, const char*> always[] = {{&f.run, "_run"},
                                                   {&f.run_parallel, "_run_parallel"},
                                                   {&f.output_steps, "_output_steps"},
                                                   {&f.workspace_bytes, "_workspace_bytes"},
                                                   {&f.parallel_workspace_bytes, "_parallel_workspace_bytes"},
                                                   {&f.info, "_info"}};
  for (const auto& [function, ending] : always) {
    *function = dlsym(opened, (name + ending).c_str());
    if (*function == nullptr)
      return bad_file(path,
                      fmt::format("has no function {}{}; either its name is not '{}', or it was not made by "
                                  "convsmith compile",
                                  name, ending, name));
  }
  f.packed_bytes = dlsym(opened, (name + "_packed_bytes").c_str());
  f.pack = dlsym(opened, (name + "_pack").c_str());
  return f;
}

// The value of the line `key: value`.
std::optional<std::string> find_value(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + ": ")) return line.substr(key.size() + 2);
  return std::nullopt;
}

// All integers of the value; empty where the line is missing or holds anything else.
std::vector<int64_t> find_numbers(const std::string& text, const std::string& key) {
  std::istringstream words(find_value(text, key).value_or(""));
  std::vector<int64_t> numbers;
  for (int64_t number = 0; words >> number;) numbers.push_back(number);
  if (!words.eof()) numbers.clear();
  return numbers;
}

constexpr size_t kMaxArrays = 16;

// Calls pack(array 0, ..., array count - 1, packed): C functions have their number of arguments in their
// type.
template <size_t... I>
int call_pack(void* pack, std::span<const std::span<const float>> arrays, void* packed,
              std::index_sequence<I...>) {
  return call<int>(pack, arrays[I].data()..., packed);
}
template <size_t Count = 1>
int call_pack(void* pack, std::span<const std::span<const float>> arrays, void* packed) {
  if (arrays.size() == Count) return call_pack(pack, arrays, packed, std::make_index_sequence<Count>());
  if constexpr (Count < kMaxArrays) return call_pack<Count + 1>(pack, arrays, packed);
  return CONVSMITH_WRONG_WEIGHTS;
}

constexpr std::string_view kNoCode = "The artifact has no code for this CPU.";

convsmith_status finish_artifact(int status) noexcept {
  if (status >= CONVSMITH_OK && status <= CONVSMITH_NO_MEMORY) return finish(static_cast<RunStatus>(status));
  constexpr int kWrongCpu = 7;
  return guard([&] {
    if (status == kWrongCpu) return fail(CONVSMITH_UNAVAILABLE, std::string(kNoCode));
    return fail(CONVSMITH_INTERNAL, fmt::format("The artifact answered {}, which is no status.", status));
  });
}

struct Artifact final : convsmith_model {
  explicit Artifact(Functions functions) : f(std::move(functions)) {}

  bool is_single() const { return info.inputs == 1 && info.outputs == 1; }

  Result<convsmith_weights> pack(std::span<const std::span<const float>> arrays) const override {
    for (size_t i = 0; i < arrays.size(); ++i) {
      const auto wanted = static_cast<size_t>(weights[i].shape[0]);
      if (arrays[i].size() == wanted) continue;
      return make_error(ErrorCode::kInvalidData, fmt::format("{} has {} values; the artifact needs {}.",
                                                             weights[i].name, arrays[i].size(), wanted));
    }
    if (arrays.empty()) return make_error(ErrorCode::kInvalidData, "The artifact has its own weights.");
    const auto bytes = call<int64_t>(f.packed_bytes);
    if (bytes == -1) return make_error(ErrorCode::kUnavailable, std::string(kNoCode));
    if (bytes < 0 || bytes > int64_t{1} << 42) {
      return make_error(ErrorCode::kInvalidData,
                        fmt::format("The artifact wants {} bytes for its weights.", bytes));
    }
    void* const memory = std::aligned_alloc(64, (static_cast<size_t>(bytes) + 64) / 64 * 64);
    if (memory == nullptr) throw std::bad_alloc();
    // The library stays open, so that no other one can have its functions at the same addresses.
    const std::shared_ptr<void> owned(memory, [library = f.library](void* data) { std::free(data); });
    if (const int status = call_pack(f.pack, arrays, memory); status != CONVSMITH_OK) {
      return make_error(ErrorCode::kInvalidData,
                        fmt::format("The artifact did not pack its weights: status {}.", status));
    }
    return convsmith_weights{.layer = {}, .artifact = owned, .packed_for = f.run};
  }

  convsmith_status run(const convsmith_call& c) const noexcept override {
    if (weights.empty() != (c.weights == nullptr) ||
        (c.weights != nullptr && c.weights->packed_for != f.run)) {
      if (c.weights == nullptr) return finish(RunStatus::kNullPointer);
      return finish(RunStatus::kWrongWeights);
    }
    thread_local ThreadMemory of_thread;
    BorrowedMemory memory(of_thread);
    void* workspace = c.workspace;
    if (workspace == nullptr) {
      const int64_t bytes = bytes_of_call(c);
      if (bytes > 0 && (workspace = memory.get(static_cast<size_t>(bytes))) == nullptr)
        return finish(RunStatus::kNoMemory);
    }
    // The arguments, from the inside out: with or without threads, weights in front or not.
    const auto with_weights = [&](void* function, auto... args) {
      if (c.weights == nullptr) return call<int>(function, args...);
      return call<int>(function, c.weights->artifact.get(), args...);
    };
    const auto with_threads = [&](auto... args) {
      if (c.parallel == nullptr) return with_weights(f.run, args...);
      return with_weights(f.run_parallel, args..., c.parallel);
    };
    const ScopedControlWord modes(c.denormals);
    return finish_artifact(
        is_single() ? with_threads(c.inputs[0], c.outputs[0], c.batch, c.steps[0], workspace)
                    : with_threads(c.inputs.data(), c.outputs.data(), c.batch, c.steps.data(), workspace));
  }

  int64_t output_steps(std::span<const int64_t> steps, size_t output) const override {
    return is_single() ? checked(call<int64_t>(f.output_steps, steps[0]))
                       : checked(call<int64_t>(f.output_steps, steps.data(), static_cast<int64_t>(output)));
  }
  std::vector<int64_t> input_shape(size_t input, std::span<const int64_t> steps) const override {
    return {steps[input], in_channels[input]};
  }
  std::vector<int64_t> output_shape(size_t output, std::span<const int64_t> steps) const override {
    return {output_steps(steps, output), out_channels[output]};
  }
  int64_t workspace_bytes(int64_t batch, std::span<const int64_t> steps, int64_t threads) const override {
    return checked(bytes_for(batch, steps, threads > 1, threads));
  }

  // The artifact's own answer to what it does not compute is -1.
  static int64_t checked(int64_t number) noexcept {
    if (number >= 0) return number;
    fail(CONVSMITH_BAD_SIZE, "The artifact does not run with these numbers of samples and steps.");
    return -1;
  }
  int64_t bytes_of_call(const convsmith_call& c) const {
    const bool parallel = c.parallel != nullptr;
    return bytes_for(c.batch, c.steps, parallel, parallel ? c.parallel->threads : 1);
  }
  int64_t bytes_for(int64_t batch, std::span<const int64_t> steps, bool parallel, int64_t threads) const {
    const auto with_threads = [&](auto given_steps) {
      if (!parallel) return call<int64_t>(f.workspace_bytes, batch, given_steps);
      return call<int64_t>(f.parallel_workspace_bytes, batch, given_steps, threads);
    };
    return is_single() ? with_threads(steps[0]) : with_threads(steps.data());
  }

  Functions f;
  std::vector<int64_t> in_channels;
  std::vector<int64_t> out_channels;
};

// Fills in what the info text says; a sentence about what is wrong with it.
std::string read_info(Artifact& artifact) {
  constexpr int64_t kMaxPorts = 1024;
  const std::string& text = artifact.text;
  const auto positive = [](const std::vector<int64_t>& numbers) {
    return !numbers.empty() && std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n >= 1; });
  };
  const auto inputs = find_numbers(text, "inputs");
  const auto outputs = find_numbers(text, "outputs");
  if (!positive(inputs) || !positive(outputs) || inputs[0] > kMaxPorts || outputs[0] > kMaxPorts)
    return "does not say how many inputs and outputs it has";
  artifact.info = {.struct_size = sizeof(convsmith_info),
                   .kind = CONVSMITH_KIND_ARTIFACT,
                   .backend = CONVSMITH_BACKEND_AUTO,
                   .isa = CONVSMITH_ISA_AUTO,
                   .inputs = static_cast<int32_t>(inputs[0]),
                   .outputs = static_cast<int32_t>(outputs[0]),
                   .weights = 0,
                   .code_bytes = 0};
  artifact.in_channels = find_numbers(text, "in_channels");
  artifact.out_channels = find_numbers(text, "out_channels");
  if (!positive(artifact.in_channels) || !positive(artifact.out_channels) ||
      artifact.in_channels.size() != static_cast<size_t>(inputs[0]) ||
      artifact.out_channels.size() != static_cast<size_t>(outputs[0]))
    return "does not say how many channels its inputs and outputs have";
  const auto names = [&](const char* array, int64_t count) {
    std::vector<std::string> found;
    for (int64_t i = 0; i < count; ++i) {
      const std::string key = fmt::format("{}[{}]", array, i);
      found.push_back(find_value(text, key).value_or(key));
    }
    return found;
  };
  artifact.input_names = names("in", inputs[0]);
  artifact.output_names = names("out", outputs[0]);
  const std::string weights = find_value(text, "weights").value_or("");
  if (weights == "embedded") return "";
  if (weights != "packed") return "does not say whether its weights are embedded or packed";
  if (artifact.f.packed_bytes == nullptr || artifact.f.pack == nullptr)
    return "has packed weights, but no functions to pack them";
  const auto arrays = find_numbers(text, "arrays");
  if (!positive(arrays) || arrays.size() != static_cast<size_t>(arrays[0]) + 1)
    return "does not say how large its arrays of weights are";
  if (arrays.size() > kMaxArrays + 1)
    return fmt::format("takes {} arrays of weights; more than {} can't be handed over", arrays[0],
                       kMaxArrays);
  for (size_t i = 1; i < arrays.size(); ++i)
    artifact.weights.push_back({fmt::format("weight {}", i - 1), {arrays[i]}});
  artifact.info.weights = static_cast<int32_t>(arrays[0]);
  return "";
}

}  // namespace

Result<std::unique_ptr<convsmith_model>> load_artifact(const std::string& path, const std::string& name) {
  if (!is_c_identifier(name)) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("An artifact's name is a C identifier; '{}' is none.", name));
  }
  if (auto ok = check_file(path); !ok) return tl::unexpected(ok.error());
  auto functions = open_library(path, name);
  if (!functions) return tl::unexpected(functions.error());
  auto artifact = std::make_unique<Artifact>(std::move(*functions));
  const auto* text = call<const char*>(artifact->f.info);
  if (text == nullptr) return bad_file(path, "has no information about itself");
  artifact->text = text;
  if (const std::string wrong = read_info(*artifact); !wrong.empty()) return bad_file(path, wrong);
  return artifact;
}

}  // namespace convsmith::c_api
