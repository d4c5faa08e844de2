// Tuning files: the schedules that `convsmith tune` measured to be the fastest, by what a kernel computes and
// for which instruction set.
//
//   {"format": "convsmith tuning", "version": 2, "convsmith": "0.1.0",
//    "cpu": {"name": "...", "family": 6, "model": 143, "stepping": 8, "features": ["avx2", ...]}, "entries":
//    [
//     {"problem": "Conv1D(64, 5, ...)", "isa": "avx512", "backend": "xbyak", "batch": 1, "steps": 1024,
//      "schedule": "cut o; ...", "chosen_us": 12.5, "best_us": 11.8}]}
//
// A file may be anybody's: all of it is checked when it is read, and a schedule goes through the same checks
// as one that a user types. Whatever it holds can cost time but never change a result. Asked by everything
// that makes kernels: compiled_graph, artifact, and explain on the command line.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/options.hpp"
#include "frontend/problem.hpp"
#include "runtime/compile.hpp"
#include "runtime/host/cpu_id.hpp"

namespace convsmith {

struct TuningEntry {
  std::string problem;  // of the kernel: problem_text without padding
  Isa isa = Isa::kAuto;
  Backend backend = Backend::kAuto;  // measured with it; the schedule is used with any
  int64_t batch = 0;
  int64_t steps = 0;  // of the kernel's input
  std::string schedule;
  double chosen_us = 0;  // with the schedule of choose_schedule
  double best_us = 0;    // with this one
};

struct TuningFile {
  std::string convsmith;             // the version that wrote it
  CpuId cpu;                         // of version 1 the name alone
  std::vector<TuningEntry> entries;  // no two of one problem and instruction set
};

std::string print_tuning(const TuningFile& file);
// `name` is for the error (kInvalidData), a sentence.
Result<TuningFile> parse_tuning(std::string_view text, const std::string& name);

// What a kernel is called in the file.
std::string tuning_problem(const Problem& problem);

class Tuning {
 public:
  explicit Tuning(const TuningFile& file);
  // That of which the schedules are the fastest.
  const CpuId& cpu() const { return cpu_; }
  // The schedule for a kernel, which need not be legal; null where the file has none.
  const std::string* find(const Problem& problem, Isa isa) const;

 private:
  CpuId cpu_;
  std::unordered_map<std::string, std::string> schedules_;  // by instruction set and problem
};

// The file at `path`, or where that is empty the one that CONVSMITH_TUNING names; null without either. Read
// again only when it has changed; then the verbose channel hears if it is of another CPU. Errors: kIo,
// kInvalidData.
Result<std::shared_ptr<const Tuning>> load_tuning(const std::string& path);

// A sentence where the schedules were measured on another CPU than this one; else empty.
std::string foreign_note(const Tuning& tuning);

// Says on the verbose channel that a schedule of a tuning file is used, or why not.
void say_tuned(const Problem& problem, std::string_view schedule, const Error* why_not);

// lower_layer with the schedule of `tuning`, which may be null, where it has one that is legal and, with
// `weights_of`, reads the packed weights as the chosen one does; else with the chosen one.
Result<LoweredLayer> lower_tuned(const Problem& problem, const Target& target, const Tuning* tuning,
                                 const Target* weights_of = nullptr);

}  // namespace convsmith
