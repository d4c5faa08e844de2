// The text form of schedules: parse(print(s)) is s.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "ir/nest/schedule.hpp"

namespace convsmith::ir {

namespace {

struct StepInfo {
  StepKind kind;
  std::string_view name;
};
constexpr StepInfo kSteps[] = {
    {StepKind::kCut, "cut"},         {StepKind::kFuse, "fuse"},         {StepKind::kSplit, "split"},
    {StepKind::kReorder, "reorder"}, {StepKind::kTile, "tile"},         {StepKind::kLanes, "lanes"},
    {StepKind::kUnroll, "unroll"},   {StepKind::kStage, "stage"},       {StepKind::kLift, "lift"},
    {StepKind::kNear, "near"},       {StepKind::kRagged, "ragged"},     {StepKind::kSlide, "slide"},
    {StepKind::kStream, "stream"},   {StepKind::kPrefetch, "prefetch"}, {StepKind::kReadAhead, "read_ahead"},
    {StepKind::kPanel, "panel"},     {StepKind::kBlend, "blend"},       {StepKind::kTail, "tail"},
    {StepKind::kWide, "wide"},
};

struct TailName {
  TailStrategy strategy;
  std::string_view name;
  size_t least_sizes;
};
constexpr TailName kTails[] = {
    {TailStrategy::kShift, "shift", 0},     {TailStrategy::kMask, "mask", 0},
    {TailStrategy::kShare, "share", 1},     {TailStrategy::kJoin, "join", 0},
    {TailStrategy::kOverlap, "overlap", 0},
};

tl::unexpected<Error> fail(std::string what) {
  return make_error(ErrorCode::kInvalidSpec, std::move(what));
}

bool takes_factor(StepKind kind) {
  return kind == StepKind::kSplit || kind == StepKind::kWide || kind == StepKind::kLift ||
         kind == StepKind::kBlend || kind == StepKind::kPanel;
}

bool names_a_loop(StepKind kind) {
  return kind == StepKind::kSplit || kind == StepKind::kWide;
}

// How the numbers of a step are written, as an example; empty where it has none.
std::string example_numbers(StepKind kind) {
  std::vector<int64_t> numbers;
  for (const StepNumber& number : kStepNumbers) {
    if (number.step == kind) numbers.push_back(4);
  }
  return print_numbers(kind, numbers);
}

std::string_view name_of(StepKind kind) {
  for (const StepInfo& info : kSteps) {
    if (info.kind == kind) return info.name;
  }
  return {};
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  size_t begin = 0;
  while ((begin = text.find_first_not_of(" \t\r\n", begin)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \t\r\n", begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

// What stands behind the name of a step of that kind.
Result<Step> parse_words(StepKind kind, std::span<const std::string> words) {
  Step step{kind, {}};
  const bool has_numbers = !example_numbers(kind).empty();
  const size_t fixed = (names_a_loop(kind) ? 1 : 0) + (takes_factor(kind) ? 1 : 0);
  if (takes_factor(kind)) {
    const auto factor = words.size() < fixed ? std::nullopt : parse_count(words[fixed - 1]);
    if (!factor || (words.size() > fixed && !has_numbers)) {
      return fail(fmt::format("expected '{}{} FACTOR'", name_of(kind), names_a_loop(kind) ? " LOOP" : ""));
    }
    step.factor = *factor;
  }
  if (kind == StepKind::kTail) {
    if (words.empty()) return fail("expected 'tail LOOP [shift|mask] SIZE...'");
    auto tail = parse_tail(words.subspan(1));
    if (!tail) return tl::unexpected(tail.error());
    step.tail = std::move(*tail);
    words = words.first(1);
  } else if (has_numbers) {
    auto numbers = parse_numbers(kind, words.subspan(fixed));
    if (!numbers) return tl::unexpected(numbers.error());
    step.numbers = std::move(*numbers);
    words = {};
  } else if (takes_factor(kind)) {
    words = words.first(fixed - 1);
  }
  step.loops.assign(words.begin(), words.end());
  return step;
}

Result<Step> parse_step(std::string_view text) {
  const std::vector<std::string> words = words_of(text);
  for (const StepInfo& info : kSteps) {
    if (words.empty() || words[0] != info.name) continue;
    auto step = parse_words(info.kind, std::span(words).subspan(1));
    if (step) return step;
    return fail(fmt::format("Schedule step '{}': {}.", fmt::join(words, " "), step.error().message));
  }
  std::vector<std::string_view> names;
  for (const StepInfo& info : kSteps) names.push_back(info.name);
  return fail(fmt::format("Schedule step '{}' is unknown; the steps are {}.", fmt::join(words, " "),
                          fmt::join(names, ", ")));
}

// What follows '#' in a line is a comment.
std::string without_comments(std::string_view text) {
  std::string result;
  bool comment = false;
  for (const char c : text) {
    comment = c != '\n' && (comment || c == '#');
    if (!comment) result += c;
  }
  return result;
}

}  // namespace

std::optional<int64_t> parse_count(std::string_view text) {
  int64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || count > kMostOfStep || count < -kMostOfStep) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.empty()) return count;
  if (unit == "M" && count < kMostOfStep >> 20) return count << 20;
  return std::nullopt;
}

std::string print_count(int64_t count) {
  constexpr int64_t kMega = 1 << 20;
  return count > 0 && count % kMega == 0 ? fmt::format("{}M", count / kMega) : fmt::format("{}", count);
}

std::string print(const Step& step) {
  std::string text(name_of(step.kind));
  for (const std::string& loop : step.loops) text += " " + loop;
  if (takes_factor(step.kind)) text += fmt::format(" {}", step.factor);
  if (step.kind == StepKind::kTail) text += " " + print(step.tail);
  return text + print_numbers(step.kind, step.numbers);
}

bool is_nest_step(std::string_view name) {
  for (const StepInfo& info : kSteps) {
    if (info.name == name) return info.kind >= StepKind::kStage;
  }
  return false;
}

std::string print(const Tail& tail) {
  std::string text;
  for (const TailName& strategy : kTails) {
    if (strategy.strategy == tail.strategy) text = strategy.name;
  }
  for (const int64_t size : tail.sizes) text += fmt::format("{}{}", text.empty() ? "" : " ", size);
  return text;
}

Result<Tail> parse_tail(std::span<const std::string> words) {
  Tail tail{TailStrategy::kShrink, {}};
  if (words.empty()) return fail("expected the sizes of smaller tiles");
  size_t least = 1;
  for (const TailName& strategy : kTails) {
    if (words[0] != strategy.name) continue;
    tail.strategy = strategy.strategy;
    least = strategy.least_sizes;
    words = words.subspan(1);
    break;
  }
  for (const std::string& word : words) {
    const auto size = parse_count(word);
    const int64_t before = tail.sizes.empty() ? kMostOfStep : tail.sizes.back();
    if (!size || *size < 1 || *size >= before)
      return fail(fmt::format("expected sizes of at least 1 that fall, found '{}'", word));
    tail.sizes.push_back(*size);
  }
  if (tail.sizes.size() > kMostTails)
    return fail(fmt::format("expected at most {} sizes, found {}", kMostTails, tail.sizes.size()));
  if (tail.sizes.size() < least) return fail("expected the sizes of smaller tiles");
  return tail;
}

std::string print_numbers(StepKind step, const std::vector<int64_t>& numbers) {
  std::string text;
  auto next = numbers.begin();
  for (const StepNumber& number : kStepNumbers) {
    if (number.step != step || next == numbers.end()) continue;
    if (*next != 0) text += fmt::format(" {} {}", number.name, print_count(*next));
    ++next;
  }
  return text;
}

Result<std::vector<int64_t>> parse_numbers(StepKind step, std::span<const std::string> words) {
  std::vector<int64_t> numbers;
  if (words.empty()) return numbers;
  size_t used = 0;
  for (const StepNumber& number : kStepNumbers) {
    if (number.step != step) continue;
    numbers.push_back(0);
    if (used == words.size() || words[used] != number.name) continue;
    const auto count = used + 1 < words.size() ? parse_count(words[used + 1]) : std::nullopt;
    if (!count || *count < 1)
      return fail(fmt::format("expected a count of at least 1 behind '{}'", number.name));
    numbers.back() = *count;
    used += 2;
  }
  if (used == words.size()) return numbers;
  const std::string all = example_numbers(step);
  return fail(
      fmt::format("expected {}, found '{}'",
                  all.empty() ? "nothing behind it" : fmt::format("numbers as in '{}{}'", name_of(step), all),
                  words[used]));
}

std::string print(const Schedule& schedule) {
  std::string text;
  for (const Step& step : schedule) text += (text.empty() ? "" : "; ") + print(step);
  return text;
}

Result<Schedule> parse_schedule(std::string_view commented) {
  const std::string uncommented = without_comments(commented);
  std::string_view text = uncommented;
  Schedule schedule;
  while (!text.empty()) {
    const size_t end = std::min(text.find(';'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
    auto step = parse_step(part);
    if (!step) return tl::unexpected(step.error());
    schedule.push_back(std::move(*step));
  }
  return schedule;
}

}  // namespace convsmith::ir
