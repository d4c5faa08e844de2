// `convsmith tune`: measures which schedules are the fastest here, and writes them down for later
// compilations.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/call_sizes.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/interrupt.hpp"
#include "cli/io/files.hpp"
#include "cli/measure/compare.hpp"
#include "cli/measure/measure.hpp"
#include "cli/measure/shapes.hpp"
#include "cli/measure/tune.hpp"
#include "cli/verify/random_layer.hpp"
#include "frontend/model_spec.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/graph.hpp"
#include "runtime/host/cpu_id.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/model.hpp"

namespace convsmith::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kUsualSteps = 1024;
constexpr double kUsualSeconds = 2;
constexpr uint64_t kMostTuningBytes = uint64_t{64} << 20;

struct Options {
  CommonOptions common;
  std::optional<int64_t> batch;
  std::optional<int64_t> steps;
  double seconds = kUsualSeconds;
  std::string output;
};

// A layer or model to tune: SPEC, or a row of a table.
struct Job {
  std::string name;
  ir::Graph graph;
  int64_t batch = 1;
  int64_t steps = 0;
};

// One job with the kernels of its call.
struct Row {
  std::string name;
  std::vector<TunedKernel> kernels;

  // Of all its kernels together, in one call.
  double chosen_us() const { return sum(&TunedKernel::chosen_us); }
  double best_us() const { return sum(&TunedKernel::best_us); }
  double ratio() const { return chosen_us() / best_us(); }

 private:
  double sum(double TunedKernel::*us) const {
    double all = 0;
    for (const TunedKernel& kernel : kernels) all += kernel.*us * static_cast<double>(kernel.call.uses);
    return all;
  }
};

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

bool is_table(const Options& options) {
  return suffix_of(options.common.spec) == ".csv";
}

Result<Job> layer_job(const LayerSpec& spec, const Options& options) {
  const auto problem = layer_problem_for(spec, options.common);
  if (!problem) return tl::unexpected(problem.error());
  auto graph = ir::build_graph(spec, problem->chain.front().channels, options.common.rules);
  if (!graph) return tl::unexpected(graph.error());
  const Shape& shape = options.common.input_shape.empty() ? spec.input_shape : options.common.input_shape;
  const bool last = problem->chain.front().layout == Layout::kChannelsLast;
  const auto steps = shape.size() < 2 ? std::nullopt : shape[last ? shape.size() - 2 : shape.size() - 1];
  return Job{to_call_text(spec), std::move(*graph), options.batch.value_or(spec.batch_size.value_or(1)),
             options.steps.value_or(steps.value_or(kUsualSteps))};
}

Result<Job> model_job(ModelSpec model, const Options& options) {
  const CommonOptions& common = options.common;
  if (!common.input_shape.empty()) return refuse("--input-shape is for layers, and SPEC is a model.");
  if (find_layer_without_weights(model) != nullptr) {
    // Which weights does not matter to the time.
    if (const auto done = draw_weights(model, common.rules, common.seed); !done)
      return tl::unexpected(done.error());
  }
  auto graph = optimized_graph(model, common.rules);
  if (!graph) return tl::unexpected(graph.error());
  const ModelNode& node = model.nodes[static_cast<size_t>(model.inputs.front())];
  const Shape& shape = std::get<InputOp>(model.layers[static_cast<size_t>(node.layer)].op).shape;
  const auto declared = shape.size() < 2 ? std::nullopt : shape.front();
  const int64_t batch = options.batch.value_or(1);
  const auto steps = choose_steps(*graph, options.steps, declared.value_or(kUsualSteps), batch);
  if (!steps) return tl::unexpected(steps.error());
  return Job{common.spec, std::move(*graph), batch, *steps};
}

Result<std::vector<Job>> table_jobs(const Options& options) {
  if (options.batch || options.steps || !options.common.input_shape.empty())
    return refuse(
        "--batch, --steps and --input-shape are for layers and models; each row of a table has its own.");
  const auto rows = read_shapes(options.common.spec);
  if (!rows) return tl::unexpected(rows.error());
  Options any = options;
  any.common.rules = Rules::kAny;
  std::vector<Job> jobs;
  for (const ShapeRow& row : *rows) {
    any.batch = row.batch;
    any.steps = row.steps;
    auto job = layer_job(row.spec, any);
    if (!job)
      return make_error(job.error().code, fmt::format("{}, row {}: {}", options.common.spec,
                                                      printable(row.name), job.error().message));
    job->name = printable(row.name);
    jobs.push_back(std::move(*job));
  }
  return jobs;
}

Result<std::vector<Job>> find_jobs(const Options& options) {
  if (is_table(options)) return table_jobs(options);
  const auto subject = load_subject(options.common);
  if (!subject) return tl::unexpected(subject.error());
  const auto job = [&]() -> Result<Job> {
    if (const auto* layer = std::get_if<ParsedLayer>(&*subject)) return layer_job(layer->spec, options);
    if (const auto* model = std::get_if<LoadedModelSpec>(&*subject)) return model_job(*model->spec, options);
    return refuse(
        fmt::format("SPEC is {}, which is scheduled already; tune takes layers, models and tables of "
                    "shapes (.csv).",
                    options.common.spec));
  }();
  if (!job) return tl::unexpected(job.error());
  return std::vector<Job>{*job};
}

Result<BackEnd> find_back_end(const CommonOptions& common) {
  if (const auto done = check_named(common.backend, common.isa); !done) return tl::unexpected(done.error());
  const auto choice = choose_backend(common.backend, common.isa);
  if (!choice) return tl::unexpected(choice.error());
  if (choice->backend != Backend::kInterp) return BackEnd{choice->backend, choice->isa};
  if (common.backend == Backend::kInterp)
    return refuse("--backend is interp; tune measures machine code, which xbyak and llvm make.");
  return make_error(ErrorCode::kUnavailable,
                    "This host runs no machine code, so there is nothing to measure.");
}

// The file of an earlier run, to which the new schedules are added.
Result<TuningFile> read_earlier(const std::string& path) {
  const CpuId& cpu = this_cpu();
  std::error_code error;
  if (path.empty() || !std::filesystem::exists(path, error)) return TuningFile{CONVSMITH_VERSION, cpu, {}};
  const auto text = read_text(path, kMostTuningBytes);
  if (!text) return tl::unexpected(text.error());
  auto file = parse_tuning(*text, path);
  if (!file) return file;
  if (file->cpu != cpu) {
    return refuse(
        fmt::format("-o is '{}', which was measured on another CPU ({}); choose another file for this "
                    "one ({}).",
                    printable(path), printable(describe(file->cpu)), describe(cpu)));
  }
  file->convsmith = CONVSMITH_VERSION;
  return file;
}

// In place of what the file had for the same kernel. Of several rows with one kernel the longest call counts.
void add_entries(TuningFile& file, const std::vector<Row>& rows, BackEnd back_end) {
  std::vector<TuningEntry> fresh;
  const auto find = [](std::vector<TuningEntry>& entries, const TuningEntry& like) {
    return std::find_if(entries.begin(), entries.end(), [&](const TuningEntry& entry) {
      return entry.problem == like.problem && entry.isa == like.isa;
    });
  };
  for (const Row& row : rows) {
    for (const TunedKernel& kernel : row.kernels) {
      TuningEntry entry = tuning_entry(kernel, back_end);
      const auto same = find(fresh, entry);
      if (same == fresh.end()) {
        fresh.push_back(std::move(entry));
      } else if (same->chosen_us < entry.chosen_us) {
        *same = std::move(entry);
      }
    }
  }
  for (TuningEntry& entry : fresh) {
    const auto same = find(file.entries, entry);
    if (same != file.entries.end()) file.entries.erase(same);
    file.entries.push_back(std::move(entry));
  }
}

// Nothing where no file is wanted.
Result<void> write_tuning(const std::string& path, TuningFile file, const std::vector<Row>& rows,
                          BackEnd back_end) {
  if (path.empty()) return {};
  add_entries(file, rows, back_end);
  const std::string text = print_tuning(file);
  return write_file(
      path, [&](int descriptor) { return write_bytes(descriptor, std::as_bytes(std::span(text)), path); });
}

// A line that is written over, on a terminal only.
class Progress {
 public:
  void show(const std::string& text) const {
    if (is_terminal_) std::fputs(fmt::format("\r{:<78.78}\r", text).c_str(), stderr);
  }
  ~Progress() { show(""); }

 private:
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
};

Json time_json(const TunedKernel& kernel, const ir::Schedule& schedule, double us) {
  const bool counted = kernel.call.operations() > 0 && kernel.peak_gflops > 0;
  return {{"us", us},
          {"peak_share", counted ? Json(kernel.peak_share(us)) : Json()},
          {"schedule", ir::print(schedule)}};
}

Json as_json(const TunedKernel& kernel) {
  return {{"name", kernel.call.name},
          {"problem", tuning_problem(kernel.call.part.problem)},
          {"batch", kernel.call.batch},
          {"steps", kernel.call.steps},
          {"uses", kernel.call.uses},
          {"candidates", kernel.candidates},
          {"chosen", time_json(kernel, kernel.chosen, kernel.chosen_us)},
          {"best", time_json(kernel, kernel.best, kernel.best_us)},
          {"ratio", kernel.ratio()},
          {"peak_gflops", kernel.peak_gflops},
          {"mismatches", kernel.mismatches}};
}

double geometric_mean(const std::vector<Row>& rows) {
  double logs = 0;
  for (const Row& row : rows) logs += std::log(row.ratio());
  return std::exp(logs / static_cast<double>(rows.size()));
}

const Row& farthest(const std::vector<Row>& rows) {
  return *std::max_element(rows.begin(), rows.end(),
                           [](const Row& a, const Row& b) { return a.ratio() < b.ratio(); });
}

Json as_json(const std::vector<Row>& rows, BackEnd back_end) {
  Json json{{"cpu", cpu_name()},
            {"backend", backend_name(back_end.backend)},
            {"isa", isa_name(back_end.isa)},
            {"rows", Json::array()}};
  for (const Row& row : rows) {
    Json kernels = Json::array();
    for (const TunedKernel& kernel : row.kernels) kernels.push_back(as_json(kernel));
    json["rows"].push_back({{"name", row.name},
                            {"chosen_us", row.chosen_us()},
                            {"best_us", row.best_us()},
                            {"ratio", row.ratio()},
                            {"kernels", std::move(kernels)}});
  }
  json["geometric_mean"] = geometric_mean(rows);
  json["largest_gap"] = {{"name", farthest(rows).name}, {"ratio", farthest(rows).ratio()}};
  return json;
}

std::string share_text(const TunedKernel& kernel, double us) {
  const double share = kernel.peak_share(us);
  return share > 0 ? fmt::format("{:.1f} %", 100 * share) : "-";
}

std::string as_text(const TunedKernel& kernel) {
  const KernelCall& call = kernel.call;
  const auto line = [&](const char* what, const ir::Schedule& schedule, double us) {
    return fmt::format("  {:<7} {:>9} {:>8}  {}\n", what, time_text(us), share_text(kernel, us),
                       ir::print(schedule));
  };
  std::string text = fmt::format("{}\n  {}\n  batch {}, {} steps, {} schedules{}\n", printable(call.name),
                                 tuning_problem(call.part.problem), call.batch, call.steps, kernel.candidates,
                                 call.uses > 1 ? fmt::format(", {} times in a call", call.uses) : "");
  text += line("chosen", kernel.chosen, kernel.chosen_us);
  if (kernel.best == kernel.chosen) return text + "  none is faster\n";
  return text + line("best", kernel.best, kernel.best_us) +
         fmt::format("  {:.3f} times as fast\n", kernel.ratio());
}

// One line of a table; shares only where the row is one kernel.
std::string as_line(const Row& row) {
  const auto share = [&](double us) {
    return row.kernels.size() == 1 ? share_text(row.kernels[0], us) : std::string("-");
  };
  return fmt::format("{:<28} {:>9} {:>8} {:>9} {:>8} {:>7.3f}\n", row.name, time_text(row.chosen_us()),
                     share(row.chosen_us()), time_text(row.best_us()), share(row.best_us()), row.ratio());
}

std::string summary(const std::vector<Row>& rows) {
  return fmt::format("chosen / best: geometric mean {:.3f}, largest {:.3f} ({})\n", geometric_mean(rows),
                     farthest(rows).ratio(), farthest(rows).name);
}

Result<Row> tune_job(const Job& job, const Options& options, BackEnd back_end, const std::string& number,
                     const Progress& progress) {
  Row row{job.name, {}};
  for (const KernelCall& call : kernel_calls(job.graph, job.batch, job.steps)) {
    TuneOptions how{back_end, options.seconds, options.common.seed, {}};
    how.stop = InterruptGuard::is_interrupted;
    how.progress = [&](size_t left) {
      progress.show(fmt::format("{}{}: {} schedules", number, printable(call.name), left));
    };
    auto tuned = tune_kernel(call, how);
    if (!tuned) return tl::unexpected(tuned.error());
    if (!tuned->has_value()) return row;
    row.kernels.push_back(std::move(**tuned));
  }
  if (!row.kernels.empty()) return row;
  return refuse(fmt::format(
      "{}: batch {} and {} steps leave no kernel anything to compute, so there is nothing to tune.",
      printable(job.name), job.batch, job.steps));
}

std::string table_head(BackEnd back_end) {
  return fmt::format("{:<28} {:>9} {:>8} {:>9} {:>8} {:>7}\n", back_end_name(back_end), "chosen", "of peak",
                     "best", "of peak", "ratio");
}

// Rows of a table are printed, and added to what the file had, as they come: going through one takes minutes.
// Where the file can't be written, what was measured is still printed; `exit_code` then tells.
Result<std::vector<Row>> tune_jobs(const std::vector<Job>& jobs, const Options& options, BackEnd back_end,
                                   const TuningFile& file, int& exit_code) {
  const bool prints = is_table(options) && !options.common.json;
  const Progress progress;
  std::vector<Row> rows;
  if (prints) fmt::print("{}", table_head(back_end));
  for (const Job& job : jobs) {
    const std::string number =
        jobs.size() > 1 ? fmt::format("{} ({} of {}): ", job.name, rows.size() + 1, jobs.size()) : "";
    auto row = tune_job(job, options, back_end, number, progress);
    if (!row) return tl::unexpected(row.error());
    // What was finished before somebody stopped it counts.
    if (!row->kernels.empty()) rows.push_back(std::move(*row));
    progress.show("");
    if (rows.empty()) break;
    const auto written = write_tuning(options.output, file, rows, back_end);
    exit_code = written ? kOk : report(written.error());
    if (InterruptGuard::is_interrupted()) break;  // the row may lack kernels
    if (prints) fmt::print("{}", as_line(rows.back()));
    std::fflush(stdout);
  }
  return rows;
}

int report_interruption(const std::vector<Row>& rows, const std::vector<Job>& jobs, const Options& options,
                        bool written) {
  size_t finished = 0;
  size_t all = 0;
  for (const Row& row : rows) finished += row.kernels.size();
  for (const Job& job : jobs) all += kernel_calls(job.graph, job.batch, job.steps).size();
  const std::string kept = finished == 0            ? ""
                           : options.output.empty() ? " Without --output they are written nowhere."
                           : !written               ? fmt::format(" {} could not be written.", options.output)
                                                    : fmt::format(" They are in {}.", options.output);
  print_note(fmt::format("Interrupted: {} of {} kernels are finished.{}", finished, all, kept));
  return kInterrupted;
}

void print_rows(const std::vector<Row>& rows, const Options& options, BackEnd back_end) {
  if (options.common.json) {
    fmt::print("{}\n", as_json(rows, back_end).dump(2, ' ', false, Json::error_handler_t::replace));
    return;
  }
  if (is_table(options)) {
    fmt::print("{}", summary(rows));
    return;
  }
  for (const TunedKernel& kernel : rows[0].kernels) fmt::print("{}", as_text(kernel));
  if (rows[0].kernels.size() > 1) {
    fmt::print("all together: chosen {}, best {}, {:.3f} times as fast\n", time_text(rows[0].chosen_us()),
               time_text(rows[0].best_us()), rows[0].ratio());
  }
}

int report_mismatches(const std::vector<Row>& rows) {
  int exit_code = kOk;
  for (const Row& row : rows) {
    for (const TunedKernel& kernel : row.kernels) {
      for (const std::string& mismatch : kernel.mismatches) {
        tell("error", mismatch + ".");
        exit_code = kFailure;
      }
    }
  }
  return exit_code;
}

// Before minutes go by.
Result<void> check_tuning_output(const std::string& path) {
  if (path.empty()) return {};
  if (is_stream(path)) return refuse(fmt::format("-o is '{}'; it must be a file.", printable(path)));
  return check_output("-o", path);
}

int tune(const Options& options) {
  if (const auto done = check_tuning_output(options.output); !done) return report(done.error());
  const auto back_end = find_back_end(options.common);
  if (!back_end) return report(back_end.error());
  const auto file = read_earlier(options.output);
  if (!file) return report(file.error());
  const auto jobs = find_jobs(options);
  if (!jobs) return report(jobs.error());
  const InterruptGuard guard;
  int written = kOk;
  const auto rows = tune_jobs(*jobs, options, *back_end, *file, written);
  if (!rows) return report(rows.error());
  if (!rows->empty()) print_rows(*rows, options, *back_end);
  const int matched = report_mismatches(*rows);
  if (!InterruptGuard::is_interrupted()) return matched != kOk ? matched : written;
  return report_interruption(*rows, *jobs, options, written == kOk);
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("tune", "Measure which schedules are the fastest on this CPU");
  add_spec(command, options->common, true, ", a table of shapes (.csv) as bench/shapes.csv");
  add_language_options(command, options->common);
  add_isa_option(command, options->common);
  command.add_option("--batch", options->batch, "Samples (default: the spec's, else 1)")
      ->check(whole_range(1, int64_t{1} << 40))
      ->type_name("N");
  command.add_option("--steps", options->steps, "Input steps (default: the spec's, else 1024)")
      ->check(whole_range(1, int64_t{1} << 40))
      ->type_name("L");
  command
      .add_option(
          "--seconds", options->seconds,
          fmt::format("How long each kernel is measured, beside compiling (default: {})", kUsualSeconds))
      ->check(number_range(0, 1e6, "number of seconds from 0 to a million"))
      ->type_name("T");
  command
      .add_option("--seed", options->common.seed, "Seed of the numbers that are computed with (default: 0)")
      ->check(seed_range())
      ->type_name("S");
  command
      .add_option("-o,--output", options->output,
                  "Write the schedules to a tuning file; what it has for other kernels stays")
      ->type_name("FILE");
  command.footer(
      "The file is for --tuning of other commands, CONVSMITH_TUNING, and CompileOptions::tuning.\n"
      "Examples:\n  convsmith tune model.keras --steps 4096 -o model.tuning.json\n"
      "  convsmith tune bench/shapes.csv --isa avx2 --seconds 1");
  command.callback([options, &exit_code] { exit_code = tune(*options); });
}

}  // namespace convsmith::cli
