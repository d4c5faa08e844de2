// The verification of many cases: random layers and models, or one of either with many calls. Used by the
// verify subcommand (verify.cpp) and by its tests.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cli/verify/check_layer.hpp"
#include "cli/verify/check_model.hpp"
#include "cli/verify/coverage.hpp"

namespace convsmith::cli {

struct VerifyOptions {
  int64_t count = 1000;  // cases
  uint64_t seed = 0;
  int jobs = 1;
  bool guard = false;
  std::vector<int> threads = {1, 2, 3};
  std::vector<BackEnd> back_ends;
  // Called now and then with the number of cases done, by one thread at a time.
  std::function<void(int64_t cases, int64_t failures)> progress = {};
};

struct VerifyReport {
  int64_t cases = 0;
  int64_t layers = 0;                 // distinct ones
  int64_t models = 0;                 // distinct random ones
  int64_t programs = 0;               // of a .vir file
  std::set<std::string> back_ends;    // names of those that ran
  std::vector<std::string> failures;  // each a command that reproduces it, with what was wrong behind a '#'
  double seconds = 0;
  Coverage coverage;
};

// Layers and models that follow from the seed, with three or four calls each; the same whatever the number of
// jobs. One in twenty is a model, one layer in eight has small chunks. Of the instruction sets that LLVM
// compiles for, whose time is most of all, each layer meets one and each model one, in turn.
VerifyReport verify_random(const VerifyOptions& options);

// The given calls of one layer. `command` begins the reproducing line: the command up to the call.
VerifyReport verify_calls(const CheckedLayer& layer, const std::vector<Call>& calls,
                          const std::string& command, const VerifyOptions& options);

VerifyReport verify_calls(const CheckedModel& model, const std::vector<Call>& calls,
                          const std::string& command, const VerifyOptions& options);

// `convsmith verify "..." --rules any`, with what names the call; `guard` and the back end are added by need.
std::string reproducing_command(const LayerSpec& spec);
std::string_view denormals_option(Denormals denormals);
std::string call_options(const Call& call, bool guard);

}  // namespace convsmith::cli
