// The options that mean the same on every subcommand. Used by each add_*; load_spec.hpp reads SPEC.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "cli/load_spec.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"

namespace convsmith::cli {

struct CommonOptions {
  std::string spec;  // as typed: call text, JSON text, or a path to a file
  Rules rules = Rules::kCommon;
  Backend backend = Backend::kAuto;
  Isa isa = Isa::kAuto;
  std::string schedule;  // empty: the chosen one
  std::string tuning;    // a tuning file; empty: see load_tuning
  Shape input_shape;     // without the batch axis; empty: not given
  int threads = 0;       // 0: not given; see thread_count
  uint64_t seed = 0;
  bool json = false;
  Denormals denormals = Denormals::kKeep;  // of the commands that run something
};

// Adds SPEC as the positional argument. `programs` names the files beside layers and models that the command
// takes.
void add_spec(CLI::App& command, CommonOptions& options, bool required, const std::string& programs);
// Adds --backend --isa alone, for programs other than convsmith.
void add_back_end_options(CLI::App& command, CommonOptions& options);
// Adds --rules --input-shape --json.
void add_layer_options(CLI::App& command, CommonOptions& options);
// Adds these and --backend.
void add_language_options(CLI::App& command, CommonOptions& options);
// Adds --isa.
void add_isa_option(CLI::App& command, CommonOptions& options);
// Adds --tuning.
void add_tuning_option(CLI::App& command, CommonOptions& options);
// Adds --denormals.
void add_denormals_option(CLI::App& command, CommonOptions& options);
// Adds these but the last, and --schedule --threads --seed.
void add_common_options(CLI::App& command, CommonOptions& options);

// Options that mean nothing for what SPEC is: an error names the first of them that was given, with `why` ("a
// vector program runs on one thread"). --rules any is none where all is read under these.
struct Unused {
  std::string_view option;
  std::string_view why;
};
Result<void> check_unused(const CommonOptions& options, std::initializer_list<Unused> unused);
// The same for nests and vector programs, which are scheduled.
Result<void> check_scheduled(const CommonOptions& options);

// Whole numbers from 0 to 2^64 - 1, which the parser of the options would not tell from wrapped ones.
CLI::Validator seed_range();

// Whole numbers from `low` to `high`.
CLI::Validator whole_range(int64_t low, int64_t high);
// Numbers from `low` to `high`, of which `wanted` says in words what they are.
CLI::Validator number_range(double low, double high, const std::string& wanted);

// What a model can't have: a schedule that is not of its graph, a shape that its file does not say.
Result<void> check_for_model(const CommonOptions& options);

// --threads, else CONVSMITH_NUM_THREADS, else 1.
int thread_count(const CommonOptions& options);

// Says where schedules come from a file that was measured on another CPU.
void note_foreign_tuning(const CommonOptions& options);

// "error: <message>" to stderr; returns the exit code: kFailure where the host, the build or a disk refused
// (kUnavailable, kIo), kUsage otherwise.
int report(const Error& error);
// "note: <sentence>" to stderr.
void print_note(const std::string& sentence);

}  // namespace convsmith::cli
