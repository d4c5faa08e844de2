// `convsmith info`: what this build can do and what this machine allows.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "codegen/llvm_loader.hpp"
#include "frontend/models/load_model.hpp"
#include "runtime/compile.hpp"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 9> kVariables = {
    "CONVSMITH_VERBOSE",     "CONVSMITH_MAX_ISA",     "CONVSMITH_DUMP",
    "CONVSMITH_NUM_THREADS", "CONVSMITH_LLVM_MODULE", "CONVSMITH_CACHE_DIR",
    "CONVSMITH_CACHE_BYTES", "CONVSMITH_PROFILE",     "CONVSMITH_TUNING"};

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

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

Json gather() {
  Json json{{"version", CONVSMITH_VERSION},
            {"cpu", cpu_model()},
            {"processors", std::thread::hardware_concurrency()},
            {"isas", cpu_isas()},
            {"caches", cache_sizes()}};
  for (const Backend backend : {Backend::kXbyak, Backend::kLlvm, Backend::kInterp}) {
    json["backends"][std::string(backend_name(backend))] = availability(choose_backend(backend, Isa::kAuto));
  }
  const auto probe = load_model_bytes("", "");
  json["model_files"] = probe || probe.error().code != ErrorCode::kUnavailable ? "ok" : probe.error().message;
  const Result<Choice> choice = choose_backend(Backend::kAuto, Isa::kAuto);
  json["auto"] = choice ? fmt::format("{}, {}", backend_name(choice->backend), isa_name(choice->isa))
                        : choice.error().message;
  json["code_memory"] = process_code_memory() ? "ok: mapped twice, never writable and executable at once"
                                              : process_code_memory().error().message;
  json["memory_deny_write_execute"] = write_execute_rule();
  json["environment"] = Json::object();
  for (const char* const name : kVariables) {
    if (const char* const value = std::getenv(name)) json["environment"][name] = value;
  }
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
  row("CPU", text(json["cpu"]));
  row("processors", text(json["processors"]));
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
  for (const auto& [name, value] : json["environment"].items()) fmt::print("{}={}\n", name, text(value));
}

}  // namespace

void add_info(CLI::App& app, int& exit_code) {
  CLI::App* const command =
      app.add_subcommand("info", "Show version, CPU, back ends and what the host allows");
  const auto options = std::make_shared<CommonOptions>();
  add_common_options(*command, *options);
  command->footer("Example:\n  convsmith info --json");
  command->callback([options, &exit_code] {
    const Json json = gather();
    if (options->json) {
      fmt::print("{}\n", json.dump(2));
    } else {
      print_text(json);
    }
    exit_code = kOk;
  });
}

}  // namespace convsmith::cli
