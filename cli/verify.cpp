// The verify subcommand: random layers and data, or one given layer, on all back ends against the
// interpreter, and the interpreter against an independent reference.
#include "cli/verify/verify.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "cli/call_sizes.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/verify/crash_line.hpp"
#include "cli/verify/random_model.hpp"
#include "cli/vir_file.hpp"
#include "codegen/schedule/candidate_schedules.hpp"
#include "runtime/model.hpp"

namespace convsmith::cli {

namespace {

struct Options {
  CommonOptions common;
  std::optional<int64_t> random;
  std::optional<int64_t> batch;
  std::optional<int64_t> steps;
  std::optional<DataKind> data;
  int jobs = 0;
  bool guard = false;
  bool small_chunks = false;
  std::optional<uint64_t> candidate;
  bool coverage = false;
  std::optional<uint64_t> random_model;
  std::optional<uint64_t> weights_seed;
};

constexpr int64_t kUsualCases = 1000;
// From here on no row of the coverage may be zero.
constexpr int64_t kCompleteFrom = 10'000;
constexpr int64_t kMostShownFailures = 20;

VerifyOptions verify_options(const Options& options, int64_t count) {
  VerifyOptions result;
  result.count = count;
  result.seed = options.common.seed;
  result.guard = options.guard;
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  result.jobs = options.jobs > 0 ? options.jobs : cores;
  if (options.common.threads > 0) result.threads = {options.common.threads};
  result.back_ends = available_back_ends(options.common.backend, options.common.isa);
  if (isatty(STDERR_FILENO) != 0) {
    result.progress = [count](int64_t cases, int64_t failures) {
      std::fputs(fmt::format("\r{} of {} cases, {} failures ", cases, count, failures).c_str(), stderr);
    };
  }
  return result;
}

nlohmann::json as_json(const VerifyReport& report, const std::vector<std::string>& missing) {
  nlohmann::json coverage = nlohmann::json::object();
  for (const Coverage::Row& row : report.coverage.rows()) coverage[row.group][row.name] = row.cases;
  return {{"passed", report.failures.empty() && missing.empty()},
          {"cases", report.cases},
          {"layers", report.layers},
          {"models", report.models},
          {"programs", report.programs},
          {"back_ends", report.back_ends},
          {"seconds", report.seconds},
          {"failures", report.failures},
          {"never_ran", missing},
          {"coverage", std::move(coverage)}};
}

void print_failures(const std::vector<std::string>& failures) {
  const auto shown = std::min<size_t>(failures.size(), kMostShownFailures);
  for (size_t i = 0; i < shown; ++i) fmt::print("{}\n", without_controls(failures[i]));
  if (shown < failures.size()) fmt::print("... and {} more\n", failures.size() - shown);
}

// "0 failures in 100 cases of 1 distinct layers and 0 models in 0.3 s, on interp avx512, xbyak avx2"
std::string verdict(const VerifyReport& report) {
  const std::string what =
      report.programs > 0 ? fmt::format("{} program{}", report.programs, report.programs == 1 ? "" : "s")
                          : fmt::format("{} distinct layers and {} models", report.layers, report.models);
  return fmt::format("{} failures: {} cases of {} in {:.1f} s, {:.0f} cases/s, on {}", report.failures.size(),
                     report.cases, what, report.seconds,
                     static_cast<double>(report.cases) / std::max(report.seconds, 1e-9),
                     fmt::join(report.back_ends, ", "));
}

// `complete`: every row of the coverage must have been reached.
int print_report(const VerifyReport& report, const Options& options, bool complete) {
  const std::vector<std::string> missing = complete ? report.coverage.missing() : std::vector<std::string>();
  const bool passed = report.failures.empty() && missing.empty();
  if (options.common.json) {
    fmt::print("{}\n", as_json(report, missing).dump(2));
    return passed ? kOk : kFailure;
  }
  if (isatty(STDERR_FILENO) != 0) std::fputs(fmt::format("\r{:60}\r", "").c_str(), stderr);
  fmt::print("{}\n", verdict(report));
  print_failures(report.failures);
  for (const std::string& name : missing) fmt::print("never ran: {}\n", name);
  if (options.coverage) fmt::print("\ncases that ran each\n{}", report.coverage.print());
  return passed ? kOk : kFailure;
}

int verify_random_layers(const Options& options) {
  const bool names_a_call = options.batch || options.steps || options.data || options.small_chunks ||
                            options.common.denormals == Denormals::kFlush;
  if (names_a_call || !options.common.schedule.empty() || !options.common.tuning.empty() ||
      !options.common.input_shape.empty()) {
    return report(
        {ErrorCode::kInvalidSpec,
         "--batch, --steps, --data, --denormals, --schedule, --tuning, --small-chunks and --input-shape "
         "need a "
         "SPEC; without one "
         "everything is drawn from --seed."});
  }
  const VerifyOptions verify = verify_options(options, options.random.value_or(kUsualCases));
  const bool restricted = options.common.backend != Backend::kAuto || options.common.isa != Isa::kAuto;
  Options with_table = options;
  with_table.coverage = true;
  return print_report(verify_random(verify), with_table, verify.count >= kCompleteFrom && !restricted);
}

// The calls of one layer or model: the one that the options name, or as many as asked for, with what they
// name; `draw` gives the rest for a seed, and what is not named fits what is.
template <class Draw>
Result<std::vector<Call>> calls_of(const Options& options, const ir::Graph& graph, const Draw& draw) {
  constexpr int64_t kUsual = 100;
  const bool one = options.batch && options.steps && options.data && !options.random;
  const int64_t count = one ? 1 : options.random.value_or(kUsual);
  std::vector<Call> calls;
  for (int64_t i = 0; i < count; ++i) {
    Call call = draw(derive_seed(options.common.seed, static_cast<uint64_t>(i)));
    if (one) call.seed = options.common.seed;
    if (options.batch) call.batch = *options.batch;
    if (options.steps) call.steps = *options.steps;
    if (options.batch && !options.steps)
      call.steps = ir::nearest_fit(graph, call.steps, call.batch).value_or(call.steps);
    const std::vector<int64_t> steps = input_steps(graph, call.steps);
    if (!options.batch) call.batch = ir::nearest_batch(graph, steps, call.batch);
    if (const std::string why = ir::why_not(graph, steps, call.batch); options.batch && !why.empty())
      return make_error(ErrorCode::kInvalidSpec, fmt::format("--batch is {}. {}", call.batch, why));
    if (options.data) call.data = *options.data;
    if (options.data || options.common.denormals == Denormals::kFlush)
      call.denormals = options.common.denormals;
    calls.push_back(call);
  }
  return calls;
}

Result<void> check_memory_of(const ir::Graph& graph, const std::vector<Call>& calls) {
  double bytes = 0;
  for (const Call& call : calls)
    bytes = std::max(bytes, call_bytes(graph, call.batch, input_steps(graph, call.steps)));
  return check_memory("The arrays of a call", bytes);
}

Result<VerifyReport> verify_calls_of(const Options& options, const CheckedLayer& layer,
                                     const std::string& command) {
  for (const std::string& skipped : layer.skipped) print_note(skipped);
  if (options.steps) {
    const auto steps = choose_steps(layer.graph, options.steps, 0);
    if (!steps) return tl::unexpected(steps.error());
  }
  const auto calls = calls_of(options, layer.graph, [&](uint64_t seed) {
    Call call = random_call(layer.graph, seed);
    call.steps = ir::nearest_fit(layer.graph, call.steps).value_or(call.steps);
    return call;
  });
  if (!calls) return tl::unexpected(calls.error());
  if (auto fits = check_memory_of(layer.graph, *calls); !fits) return tl::unexpected(fits.error());
  const VerifyOptions verify = verify_options(options, static_cast<int64_t>(calls->size()));
  return verify_calls(layer, *calls, command, verify);
}

void add_report(VerifyReport& all, VerifyReport one) {
  all.cases += one.cases;
  all.layers += one.layers;
  all.seconds += one.seconds;
  all.back_ends.merge(one.back_ends);
  all.coverage.merge(one.coverage);
  all.failures.insert(all.failures.end(), one.failures.begin(), one.failures.end());
}

// The command with everything that chose the kernels.
std::string command_for(const Options& options, std::string command) {
  const CommonOptions& common = options.common;
  if (common.backend != Backend::kAuto) command += fmt::format(" --backend {}", backend_name(common.backend));
  if (common.isa != Isa::kAuto) command += fmt::format(" --isa {}", isa_name(common.isa));
  if (!common.schedule.empty()) command += fmt::format(" --schedule \"{}\"", common.schedule);
  if (!common.tuning.empty()) command += fmt::format(" --tuning {}", common.tuning);
  if (options.small_chunks) command += " --small-chunks";
  if (options.candidate) command += fmt::format(" --candidate {}", *options.candidate);
  if (common.threads > 0) command += fmt::format(" --threads {}", common.threads);
  return command;
}

int verify_spec(const Options& options, const ParsedLayer& parsed) {
  auto problem = layer_problem_for(parsed.spec, options.common);
  if (!problem) return report(problem.error());
  LayerSpec spec = parsed.spec;
  const Problem& first = problem->chain.front();
  const bool last = first.layout == Layout::kChannelsLast;
  spec.input_shape = last ? Shape{std::nullopt, first.channels} : Shape{first.channels, std::nullopt};
  spec.batch_size.reset();
  const auto back_ends = available_back_ends(options.common.backend, options.common.isa);
  const auto tuning = load_tuning(options.common.tuning);
  if (!tuning) return report(tuning.error());
  const ScheduleChoice schedule{options.common.schedule, options.small_chunks, tuning->get(),
                                options.candidate};
  const auto layer = make_checked_layer(spec, *problem, back_ends, schedule);
  if (!layer) return report(layer.error());
  const auto verified = verify_calls_of(options, *layer, command_for(options, reproducing_command(spec)));
  return verified ? print_report(*verified, options, false) : report(verified.error());
}

int verify_nests(const Options& options, const NestFile& file) {
  const CommonOptions& common = options.common;
  if (const auto done = check_scheduled(common); !done) return report(done.error());
  if (options.small_chunks || options.candidate) {
    return report({ErrorCode::kInvalidSpec,
                   fmt::format("{} is given, but {} is scheduled already; leave it out.",
                               options.candidate ? "--candidate" : "--small-chunks", common.spec)});
  }
  const auto layers = layers_of(file);
  if (!layers) return report(in_file(common.spec, layers.error()));
  const auto back_ends = available_back_ends(common.backend, common.isa);
  VerifyReport all;
  for (const NestedLayer& nested : *layers) {
    const auto layer = make_checked_nests(nested, back_ends);
    if (!layer) return report(in_file(common.spec, layer.error()));
    auto one = verify_calls_of(options, *layer, command_for(options, "convsmith verify " + common.spec));
    if (!one) return report(one.error());
    add_report(all, std::move(*one));
  }
  return print_report(all, options, false);
}

int verify_model(const Options& options, ModelSpec spec, const std::string& command) {
  const CommonOptions& common = options.common;
  if (const auto fits = check_for_model(common); !fits) return report(fits.error());
  if (options.candidate)
    return report({ErrorCode::kInvalidSpec, "--candidate is for layers, and this is a model."});
  const auto tuning = load_tuning(common.tuning);
  if (!tuning) return report(tuning.error());
  auto model =
      make_checked_model(std::move(spec), common.rules, available_back_ends(common.backend, common.isa),
                         {common.schedule, options.small_chunks, tuning->get()});
  if (!model) return report(model.error());
  if (options.steps) {
    const auto steps = choose_steps(model->graph(), options.steps, 0);
    if (!steps) return report(steps.error());
  }
  const auto calls =
      calls_of(options, model->graph(), [&](uint64_t seed) { return random_model_call(*model, seed); });
  if (!calls) return report(calls.error());
  if (const auto fits = check_memory_of(model->graph(), *calls); !fits) return report(fits.error());
  const VerifyOptions verify = verify_options(options, static_cast<int64_t>(calls->size()));
  return print_report(verify_calls(*model, *calls, command_for(options, command), verify), options, false);
}

int verify_model_file(const Options& options, const ModelSpec& loaded) {
  ModelSpec spec = loaded;
  std::string command = "convsmith verify " + options.common.spec;
  if (find_layer_without_weights(spec) != nullptr) {
    const uint64_t seed = options.weights_seed.value_or(options.common.seed);
    print_note("The model has no weights: they are drawn from the initializers, as for a fresh model.");
    if (const auto done = draw_weights(spec, options.common.rules, seed); !done) return report(done.error());
    command += fmt::format(" --weights-seed {}", seed);
  }
  const int exit_code = verify_model(options, std::move(spec), command);
  const std::string inputs = several_inputs(loaded);
  if (!inputs.empty() && !options.common.json)
    fmt::print("inputs, in this order: {}\n", without_controls(inputs));
  return exit_code;
}

// What draws calls or chooses kernels has no use for a program, whose `# run` line is its call.
Result<void> check_program_options(const Options& options) {
  const std::pair<bool, const char*> unused[] = {
      {options.batch.has_value(), "--batch"},         {options.steps.has_value(), "--steps"},
      {options.random.has_value(), "--random"},       {options.small_chunks, "--small-chunks"},
      {options.candidate.has_value(), "--candidate"}, {options.coverage, "--coverage"}};
  for (const auto& [given, option] : unused) {
    if (!given) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("{} is given, but {} is called as its '# run' line says; leave it out.",
                                  option, options.common.spec));
  }
  if (auto done = check_unused(options.common, {{"--threads", "a vector program runs on one thread"}}); !done)
    return done;
  return check_scheduled(options.common);
}

int verify_vir(const Options& options, const VirFile& file) {
  const CommonOptions& common = options.common;
  if (const auto done = check_program_options(options); !done) return report(done.error());
  const auto begin = std::chrono::steady_clock::now();
  VerifyReport all;
  for (const vir::Listing& listing : file) {
    auto call = parse_vir_call(listing.text, listing.program);
    if (!call) return report(in_file(common.spec, call.error()));
    call->denormals = common.denormals;
    const auto back_ends = back_ends_for(listing.program, common.backend, common.isa);
    if (!back_ends) return report(in_file(common.spec, back_ends.error()));
    for (const BackEnd back_end : *back_ends) all.back_ends.insert(back_end_name(back_end));
    VirArrays arrays(*call, DataKind::kFloats, common.seed, {});
    if (const auto done = run_checked(listing.program, listing.lines, arrays); !done)
      return report(in_file(common.spec, done.error()));
    note_idle(listing.program, arrays);
    for (const DataKind data :
         {DataKind::kIntegers, DataKind::kFloats, DataKind::kSpecial, DataKind::kHuge, DataKind::kTiny}) {
      if (options.data && options.data != data) continue;
      const std::string command =
          fmt::format("{} --data {} --seed {}{}", command_for(options, "convsmith verify " + common.spec),
                      data_name(data), common.seed, denormals_option(call->denormals));
      set_crash_line(0, command);
      int ran = 0;
      const auto findings =
          check_vir(listing.program, *call, data, common.seed, *back_ends, options.guard, ran, listing.lines);
      if (!findings) return report(in_file(common.spec, findings.error()));
      ++all.cases;
      for (const Finding& finding : *findings)
        all.failures.push_back(fmt::format("{}  # {}", command, finding.what));
    }
  }
  all.programs = static_cast<int64_t>(file.size());
  all.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return print_report(all, options, false);
}

// Options of which one would be ignored beside the other.
Result<void> check_pairs(const Options& options) {
  const auto refuse = [](const std::string& what) { return make_error(ErrorCode::kInvalidSpec, what); };
  const CommonOptions& common = options.common;
  if (options.random_model && !common.spec.empty())
    return refuse("--random-model is a model of its own; it does not go with a SPEC.");
  if ((options.random_model || common.spec.empty()) && common.rules != Rules::kCommon &&
      common.rules != Rules::kAny)
    return refuse("--rules is given, but what is drawn at random is under the rules any; leave it out.");
  const bool has_schedule = !common.schedule.empty() || !common.tuning.empty();
  if (options.small_chunks && has_schedule)
    return refuse("--small-chunks shrinks the chosen schedules; it does not go with --schedule or --tuning.");
  if (options.candidate && (has_schedule || options.small_chunks || common.spec.empty()))
    return refuse(
        "--candidate takes another schedule for a SPEC; it does not go with --schedule, --tuning or "
        "--small-chunks.");
  return {};
}

int run_verify(const Options& options) {
  install_crash_handler();
  set_crash_line(0, command_for(options, "convsmith verify " + options.common.spec));
  if (const auto done = check_named(options.common.backend, options.common.isa); !done)
    return report(done.error());
  if (const auto done = check_pairs(options); !done) return report(done.error());
  if (options.random_model) {
    Options any = options;
    any.common.rules = Rules::kAny;
    return verify_model(any, random_model(*options.random_model),
                        fmt::format("convsmith verify --random-model {}", *options.random_model));
  }
  if (options.common.spec.empty()) return verify_random_layers(options);
  note_foreign_tuning(options.common);
  const auto loaded = load_subject(options.common);
  if (!loaded) return report(loaded.error());
  if (const auto* parsed = std::get_if<ParsedLayer>(&*loaded)) return verify_spec(options, *parsed);
  if (const auto* nests = std::get_if<NestFile>(&*loaded)) return verify_nests(options, *nests);
  if (const auto* model = std::get_if<LoadedModelSpec>(&*loaded))
    return verify_model_file(options, *model->spec);
  return verify_vir(options, std::get<VirFile>(*loaded));
}

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("verify",
                                          "Check random layers and models, or one of them, on all back ends: "
                                          "bit for bit against the interpreter, "
                                          "and the interpreter against an independent float64 loop");
  add_spec(command, options->common, false, ", a loop nest (.nest), a vector program (.vir)");
  add_common_options(command, options->common);
  add_denormals_option(command, options->common);
  command
      .add_option("--random", options->random,
                  "Number of cases (default: 1000 of random layers and models, 100 of a given one)")
      ->check(whole_range(1, int64_t{1} << 40))
      ->type_name("COUNT");
  command.add_option("--random-model", options->random_model, "Check the random model of this seed")
      ->check(seed_range())
      ->type_name("SEED");
  command
      .add_option("--weights-seed", options->weights_seed,
                  "Seed of the weights of a model without any (default: --seed)")
      ->check(seed_range())
      ->type_name("SEED");
  command.add_option("--batch", options->batch, "Samples of each call (default: drawn)")
      ->check(whole_range(0, 1 << 20))
      ->type_name("N");
  command.add_option("--steps", options->steps, "Input steps of each call (default: drawn)")
      ->check(whole_range(0, 1 << 24))
      ->type_name("L");
  command
      .add_option_function<std::string>(
          "--data",
          [options](const std::string& text) {
            options->data = find_data(text);
            if (!options->data) {
              throw CLI::ValidationError(
                  fmt::format("--data is '{}'; it must be one of integers|floats|special|huge|tiny.", text));
            }
          },
          "Kind of numbers (default: drawn)")
      ->type_name("integers|floats|special|huge|tiny");
  command.add_option("--jobs", options->jobs, "Layers checked at the same time (default: one for each core)")
      ->check(whole_range(1, kCrashSlots))
      ->type_name("N");
  command.add_flag("--coverage", options->coverage,
                   "Print how many cases reached each part, as without SPEC");
  command.add_flag("--guard", options->guard, "Put every array beside a page that may not be touched");
  command.add_flag("--small-chunks", options->small_chunks,
                   "Shrink the chunks of steps of chosen schedules and chains of passes");
  command
      .add_option("--candidate", options->candidate,
                  "Compile each nest by this one of the schedules that tune would try")
      ->check(whole_range(0, static_cast<int64_t>(kMostCandidates) - 1))
      ->type_name("NUMBER");
  command.footer("Examples:\n  convsmith verify --random 200\n  convsmith verify model.keras --guard");
  command.callback([options, &exit_code] { exit_code = run_verify(*options); });
}

}  // namespace convsmith::cli
