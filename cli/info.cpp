// `convsmith info`: what this build can do and what this machine allows.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/measure/processors.hpp"
#include "codegen/llvm_loader.hpp"
#include "convsmith/convsmith.hpp"
#include "frontend/models/load_model.hpp"
#include "runtime/compile.hpp"
#include "runtime/environment.hpp"
#include "runtime/host/cpu_id.hpp"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

Json cpu_isas() {
  Json isas = Json::array();
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= detect_isa()) isas.push_back(isa_name(isa));
  }
  return isas;
}

// Bytes of each cache; those that the system does not tell are left out.
Json cache_sizes() {
  Json caches = Json::object();
  const std::pair<const char*, int> names[] = {
      {"L1d", _SC_LEVEL1_DCACHE_SIZE}, {"L2", _SC_LEVEL2_CACHE_SIZE}, {"L3", _SC_LEVEL3_CACHE_SIZE}};
  for (const auto& [name, key] : names) {
    const long bytes = sysconf(key);
    if (bytes > 0) caches[name] = bytes;
  }
  return caches;
}

// "ok", or why not.
std::string availability(const Result<Choice>& choice) {
  if (!choice) return choice.error().message;
  if (choice->backend == Backend::kInterp) return "ok";
  if (!process_code_memory()) return process_code_memory().error().message;
  if (choice->backend == Backend::kLlvm && !load_llvm_module()) return load_llvm_module().error().message;
  return "ok";
}

std::string write_execute_rule() {
  constexpr int kRefuseGain = 1;  // PR_MDWE_REFUSE_EXEC_GAIN
  const int bits = prctl(PR_GET_MDWE, 0, 0, 0, 0);
  if (bits < 0) return "not known to this kernel";
  return (bits & kRefuseGain) != 0 ? "on: no memory may become executable" : "off";
}

std::string code_memory_text() {
  switch (code_memory_kind()) {
    case CodeMemoryKind::kShared:
      return "ok: mapped twice, never writable and executable at once";
    case CodeMemoryKind::kPrivate:
      return "ok: private, written first and made executable then. " +
             (*process_code_memory())->why_private();
    default:
      return process_code_memory().error().message;
  }
}

// All variables: what they are, whether they may be that, what they may be.
Json check_variables() {
  Json variables = Json::object();
  for (const EnvironmentVariable& variable : environment_variables()) {
    const char* const value = std::getenv(variable.name);
    // An empty value is none to those who read one.
    const bool is_set = value != nullptr && *value != '\0';
    const Result<void> checked = is_set ? variable.check(value) : Result<void>();
    variables[variable.name] = {{"value", value == nullptr ? Json() : Json(value)},
                                {"legal", variable.legal},
                                {"valid", checked.has_value()},
                                {"problem", checked ? Json() : Json(checked.error().message)}};
  }
  return variables;
}

Json gather() {
  const Processors processors = find_processors();
  const CpuId& cpu = this_cpu();
  Json json{{"version", CONVSMITH_VERSION},
            {"cpu", cpu.name},
            {"cpu_id",
             {{"family", cpu.family},
              {"model", cpu.model},
              {"stepping", cpu.stepping},
              {"features", cpu.features}}},
            {"processors", processors.online},
            {"processors_allowed", processors.allowed},
            {"processors_quota", processors.quota ? Json(*processors.quota) : Json()},
            {"isas", cpu_isas()},
            {"caches", cache_sizes()}};
  for (const Backend backend : {Backend::kXbyak, Backend::kLlvm, Backend::kInterp}) {
    json["backends"][std::string(backend_name(backend))] = availability(choose_backend(backend, Isa::kAuto));
  }
  const Result<void> models = check_model_files();
  json["model_files"] = models ? "ok" : models.error().message;
  const Result<Choice> choice = choose_backend(Backend::kAuto, Isa::kAuto);
  json["auto"] = choice ? fmt::format("{}, {}", backend_name(choice->backend), isa_name(choice->isa))
                        : choice.error().message;
  json["code_memory"] = code_memory_text();
  json["memory_deny_write_execute"] = write_execute_rule();
  json["environment"] = Json::object();
  json["variables"] = check_variables();
  for (const auto& [name, variable] : json["variables"].items())
    if (!variable["value"].is_null()) json["environment"][name] = variable["value"];
  return json;
}

void print_text(const Json& json) {
  const auto row = [](std::string_view name, const std::string& value) {
    fmt::print("{:<12} {}\n", name, value);
  };
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  row("convsmith", text(json["version"]));
  row("CPU", describe(this_cpu()));
  row("processors", describe(find_processors()));
  std::string isas;
  for (const Json& isa : json["isas"]) isas += (isas.empty() ? "" : ", ") + text(isa);
  row("ISAs", isas);
  std::string caches;
  for (const auto& [name, bytes] : json["caches"].items()) {
    caches += fmt::format("{}{} {} KiB", caches.empty() ? "" : ", ", name, bytes.get<int64_t>() / 1024);
  }
  row("caches", caches.empty() ? "unknown" : caches);
  for (const auto& [name, state] : json["backends"].items()) row(name, text(state));
  row("auto", text(json["auto"]));
  row("model files", text(json["model_files"]));
  row("code memory", text(json["code_memory"]));
  row("MDWE", text(json["memory_deny_write_execute"]));
  fmt::print("\nenvironment\n");
  for (const auto& [name, variable] : json["variables"].items()) {
    const std::string legal = text(variable["legal"]);
    const std::string value = variable["value"].is_null() ? "" : without_controls(text(variable["value"]));
    if (value.empty()) {
      fmt::print("  {:<22} not set; may be {}\n", name, legal);
    } else if (variable["valid"].get<bool>()) {
      fmt::print("  {:<22} {}  ok\n", name, value);
    } else {
      fmt::print("  {:<22} {}  wrong, may be {}: {}\n", name, value, legal,
                 without_controls(text(variable["problem"])));
    }
  }
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("info", "Show version, CPU, back ends and what the host allows");
  const auto options = std::make_shared<CommonOptions>();
  command->add_flag("--json", options->json, "Print JSON");
  command->footer("Example:\n  convsmith info --json");
  command->callback([options, &exit_code] {
    const Json json = gather();
    if (options->json) {
      fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
    } else {
      print_text(json);
    }
    exit_code = kOk;
  });
}

}  // namespace convsmith::cli
