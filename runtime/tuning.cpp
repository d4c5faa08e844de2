#include "runtime/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "ir/nest/problem_text.hpp"
#include "runtime/host/verbose.hpp"

namespace convsmith {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormat = "convsmith tuning";
constexpr int64_t kVersion = 2;
constexpr uintmax_t kMostBytes = uintmax_t{64} << 20;

std::string key_of(std::string_view problem, Isa isa) {
  return fmt::format("{} {}", isa_name(isa), problem);
}

// The members of one object of the file. What is missing or of another kind is remembered as the reason to
// refuse the file; the members that come behind are then empty.
class Members {
 public:
  Members(const Json& object, std::string where, std::string& why)
      : object_(object), where_(std::move(where)), why_(why) {}

  std::string text(const char* name) {
    return plain(name, get<std::string>(name, "a text", &Json::is_string));
  }
  // A whole number, at least 1.
  int64_t count(const char* name) {
    const auto number = get<int64_t>(name, "a whole number", &Json::is_number_integer);
    if (number < 1) refuse(fmt::format("has no positive '{}'", name));
    return number;
  }
  int64_t whole(const char* name) { return get<int64_t>(name, "a whole number", &Json::is_number_integer); }
  std::vector<std::string> words(const char* name) {
    std::vector<std::string> all;
    for (const Json& word : get<Json>(name, "a list", &Json::is_array)) {
      if (!word.is_string()) refuse(fmt::format("has a '{}' that is no list of texts", name));
      if (word.is_string()) all.push_back(plain(name, word.get<std::string>()));
    }
    return all;
  }
  Json object(const char* name) { return get<Json>(name, "an object", &Json::is_object); }
  // A positive number.
  double time(const char* name) {
    const auto number = get<double>(name, "a number", &Json::is_number);
    if (!(number > 0) || !std::isfinite(number)) refuse(fmt::format("has no positive '{}'", name));
    return number;
  }
  // One of the names that `name_of` gives to `values`.
  template <class T>
  T word(const char* name, std::initializer_list<T> values, std::string_view (*name_of)(T)) {
    const std::string found = text(name);
    for (const T value : values) {
      if (name_of(value) == found) return value;
    }
    refuse(fmt::format("has an unknown '{}'", name));
    return *values.begin();
  }
  // All members have been asked for.
  void finish() {
    if (object_.is_object() && object_.size() != asked_) refuse("has members that are not known");
  }
  void refuse(const std::string& what) {
    if (why_.empty()) why_ = fmt::format("{} {}", where_, what);
  }

 private:
  // Texts become parts of sentences.
  std::string plain(const char* name, std::string found) {
    if (std::any_of(found.begin(), found.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7F; }))
      refuse(fmt::format("has control characters in its '{}'", name));
    return found;
  }

  template <class T>
  T get(const char* name, const char* kind, bool (Json::*is_kind)() const noexcept) {
    ++asked_;
    const auto member = object_.is_object() ? object_.find(name) : object_.end();
    if (object_.is_object() && member != object_.end() && ((*member).*is_kind)()) return member->get<T>();
    refuse(fmt::format("has no '{}' that is {}", name, kind));
    return T{};
  }

  const Json& object_;
  std::string where_;
  std::string& why_;
  size_t asked_ = 0;
};

TuningEntry read_entry(const Json& json, size_t index, std::string& why) {
  Members members(json, fmt::format("entry {}", index), why);
  TuningEntry entry;
  entry.problem = members.text("problem");
  entry.isa = members.word("isa", {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}, isa_name);
  entry.backend = members.word("backend", {Backend::kXbyak, Backend::kLlvm, Backend::kInterp}, backend_name);
  entry.batch = members.count("batch");
  entry.steps = members.count("steps");
  entry.schedule = members.text("schedule");
  entry.chosen_us = members.time("chosen_us");
  entry.best_us = members.time("best_us");
  if (entry.schedule.empty()) members.refuse("has an empty 'schedule'");
  members.finish();
  return entry;
}

CpuId read_cpu(const Json& json, std::string& why) {
  Members members(json, "its 'cpu'", why);
  CpuId cpu{members.text("name"), members.whole("family"), members.whole("model"), members.whole("stepping"),
            members.words("features")};
  members.finish();
  return cpu;
}

// Whether brackets stand in each other no deeper than in any tuning file: millions of them are a tree that
// takes many times the memory and time of its text.
bool is_flat(std::string_view text) {
  constexpr int kDeepest = 16;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size() && depth <= kDeepest; ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (quoted && text[i] == '\\') ++i;
    if (quoted) continue;
    depth += text[i] == '[' || text[i] == '{' ? 1 : text[i] == ']' || text[i] == '}' ? -1 : 0;
  }
  return depth <= kDeepest;
}

Result<std::string> read_file(const std::string& path) {
  const auto refuse = [&](const char* why) {
    return make_error(ErrorCode::kIo, fmt::format("The tuning file '{}' {}.", path, why));
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return refuse("is no file that can be read");
  const uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kMostBytes) return refuse("is longer than any that is read (64 MiB)");
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(bytes))) return refuse("can't be read");
  return text;
}

}  // namespace

std::string print_tuning(const TuningFile& file) {
  Json entries = Json::array();
  for (const TuningEntry& entry : file.entries) {
    entries.push_back({{"problem", entry.problem},
                       {"isa", isa_name(entry.isa)},
                       {"backend", backend_name(entry.backend)},
                       {"batch", entry.batch},
                       {"steps", entry.steps},
                       {"schedule", entry.schedule},
                       {"chosen_us", entry.chosen_us},
                       {"best_us", entry.best_us}});
  }
  const Json json{{"format", kFormat},
                  {"version", kVersion},
                  {"convsmith", file.convsmith},
                  {"cpu",
                   {{"name", file.cpu.name},
                    {"family", file.cpu.family},
                    {"model", file.cpu.model},
                    {"stepping", file.cpu.stepping},
                    {"features", file.cpu.features}}},
                  {"entries", std::move(entries)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<TuningFile> parse_tuning(std::string_view text, const std::string& name) {
  const auto refuse = [&](const std::string& why) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("'{}' is no tuning file that this convsmith reads: {}.", name, why));
  };
  if (!is_flat(text)) return refuse("it is nested deeper than any");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return refuse("it is no JSON");
  std::string why;
  Members members(json, "it", why);
  const std::string format = members.text("format");
  if (format != kFormat) members.refuse(fmt::format("has no 'format' \"{}\"", kFormat));
  const int64_t version = members.count("version");
  if (version > kVersion) members.refuse(fmt::format("has version {}, not {}", version, kVersion));
  TuningFile file{members.text("convsmith"), {}, {}};
  if (version == 1) {
    file.cpu.name = members.text("cpu");
  } else {
    file.cpu = read_cpu(members.object("cpu"), why);
  }
  if (!why.empty()) return refuse(why);
  const auto entries = json.find("entries");
  if (entries == json.end() || !entries->is_array()) return refuse("it has no list of 'entries'");
  if (json.size() != 5) return refuse("it has members that are not known");
  std::set<std::string> keys;
  for (const Json& item : *entries) {
    const size_t index = file.entries.size() + 1;
    file.entries.push_back(read_entry(item, index, why));
    if (!why.empty()) return refuse(why);
    if (!keys.insert(key_of(file.entries.back().problem, file.entries.back().isa)).second)
      return refuse(fmt::format("entry {} is for the same kernel as one before it", index));
  }
  return file;
}

std::string tuning_problem(const Problem& problem) {
  return ir::problem_text(problem.without_padding());
}

Tuning::Tuning(const TuningFile& file) : cpu_(file.cpu) {
  for (const TuningEntry& entry : file.entries)
    schedules_.emplace(key_of(entry.problem, entry.isa), entry.schedule);
}

const std::string* Tuning::find(const Problem& problem, Isa isa) const {
  const auto found = schedules_.find(key_of(tuning_problem(problem), isa));
  return found == schedules_.end() ? nullptr : &found->second;
}

Result<std::shared_ptr<const Tuning>> load_tuning(const std::string& given) {
  std::string path = given;
  if (path.empty()) {
    const char* const variable = secure_getenv("CONVSMITH_TUNING");
    if (variable == nullptr || *variable == '\0') return nullptr;
    path = variable;
  }
  struct Loaded {
    std::filesystem::file_time_type changed;
    uintmax_t bytes;
    std::shared_ptr<const Tuning> tuning;
  };
  // Never destroyed, as the caches of kernels.
  static auto* const mutex = new std::mutex;
  static auto* const files = new std::map<std::string, Loaded>;
  std::error_code error;
  const std::string key = std::filesystem::absolute(path, error).string();
  const auto changed = std::filesystem::last_write_time(path, error);
  const uintmax_t bytes = error ? 0 : std::filesystem::file_size(path, error);
  const std::lock_guard lock(*mutex);
  const auto known = files->find(key);
  if (!error && known != files->end() && known->second.changed == changed && known->second.bytes == bytes)
    return known->second.tuning;
  const auto text = read_file(path);
  if (!text) return tl::unexpected(text.error());
  const auto file = parse_tuning(*text, path);
  if (!file) return tl::unexpected(file.error());
  auto tuning = std::make_shared<const Tuning>(*file);
  if (const std::string note = foreign_note(*tuning); !note.empty())
    say(1, fmt::format("The tuning file '{}': {}", path, note));
  (*files)[key] = {changed, bytes, tuning};
  return tuning;
}

std::string foreign_note(const Tuning& tuning) {
  if (tuning.cpu() == this_cpu()) return {};
  return fmt::format("Its schedules were measured on another CPU, {}, and may be slow on this one, {}.",
                     describe(tuning.cpu()), describe(this_cpu()));
}

void say_tuned(const Problem& problem, std::string_view schedule, const Error* why_not) {
  const std::string name = kernel_name(problem);
  if (why_not == nullptr) return say(1, fmt::format("{} gets the tuned schedule {}", name, schedule));
  say(1, fmt::format("{}: the tuned schedule {} is not used, the chosen one is: {}", name, schedule,
                     why_not->message));
}

Result<LoweredLayer> lower_tuned(const Problem& problem, const Target& target, const Tuning* tuning,
                                 const Target* weights_of) {
  auto chosen = lower_layer(problem, target, {}, weights_of);
  const std::string* const found = tuning == nullptr ? nullptr : tuning->find(problem, target.isa);
  if (found == nullptr || !chosen) return chosen;
  std::string schedule = *found;
  // A file says nothing of panels, which kernels that share weights need.
  if (weights_of != nullptr && chosen->schedule.back().kind == ir::StepKind::kPanel)
    schedule += "; " + ir::print({chosen->schedule.back()});
  auto tuned = lower_layer(problem, target, schedule);
  if (tuned && weights_of != nullptr && ir::pack_layout(tuned->nest) != ir::pack_layout(chosen->nest))
    tuned = make_error(ErrorCode::kInvalidSpec, "Its weights would lie in another order than is shared.");
  say_tuned(problem, schedule, tuned ? nullptr : &tuned.error());
  return tuned ? tuned : chosen;
}

}  // namespace convsmith
