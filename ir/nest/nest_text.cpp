#include "ir/nest/nest_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "ir/nest/nest_verify.hpp"
#include "ir/nest/problem_text.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith::ir {

namespace {

// Properties of a nest that are not loops, as the lines behind the loops: each the step that makes it.
struct FlagLine {
  std::string_view name;
  StepKind step;
  bool LoopNest::*flag;
};
constexpr FlagLine kFlags[] = {{"stage", StepKind::kStage, &LoopNest::staged},
                               {"ragged", StepKind::kRagged, &LoopNest::ragged},
                               {"near", StepKind::kNear, &LoopNest::near},
                               {"slide", StepKind::kSlide, &LoopNest::slide},
                               {"stream", StepKind::kStream, &LoopNest::stream},
                               {"prefetch", StepKind::kPrefetch, &LoopNest::prefetch},
                               {"read_ahead", StepKind::kReadAhead, &LoopNest::read_ahead}};

struct SizeLine {
  std::string_view name;
  StepKind step;
  int64_t LoopNest::*size;
  int64_t most;
};
constexpr SizeLine kSizes[] = {{"lift", StepKind::kLift, &LoopNest::lifted, kMostLifted},
                               {"blend", StepKind::kBlend, &LoopNest::blended, kMostBlended},
                               {"panel", StepKind::kPanel, &LoopNest::panel, kMostPanel}};

std::string_view role_word(Role role) {
  switch (role) {
    case Role::kBand:
      return "band";
    case Role::kTile:
      return "tile";
    case Role::kLanes:
      return "lanes";
    case Role::kUnroll:
      return "unroll";
    default:
      return "for";
  }
}

std::string subscripts(const Problem& p) {
  const bool last = p.layout == Layout::kChannelsLast;
  const std::string position = fmt::format("{}o + {}k - pad_left", p.stride, p.dilation);
  const std::string channel = p.groups == 1 ? "c" : fmt::format("{}g + c", p.group_channels());
  const std::string filter = p.groups == 1 ? "f" : fmt::format("{}g + f", p.group_filters());
  return fmt::format("out[n, {}] += in[n, {}] * w[k, c, {}]", last ? "o, " + filter : filter + ", o",
                     last ? position + ", " + channel : channel + ", " + position, filter);
}

tl::unexpected<Error> fail(int line, std::string_view what) {
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("Nest text, line {}: {}{}", line, what, what.ends_with('.') ? "" : "."));
}

// The next word of `line`, which loses it.
std::string_view take_word(std::string_view& line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return line = {};
  const size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

Result<Problem> parse_header(std::string_view line, int number) {
  const size_t end = line.rfind('{');
  if (!line.starts_with("nest ") || end == std::string_view::npos)
    return fail(number, "expected 'nest LAYER {'");
  auto problem = parse_problem(line.substr(5, end - 5));
  if (!problem) return fail(number, problem.error().message);
  return problem;
}

std::vector<std::string> rest_of(std::string_view line) {
  std::vector<std::string> words;
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line))
    words.emplace_back(word);
  return words;
}

std::optional<int64_t> parse_size(std::string_view text) {
  int64_t size = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return size;
}

// What is no loop: true if `word` begins such a line.
Result<bool> parse_property(LoopNest& nest, std::string_view word, std::string_view line, int number) {
  std::optional<StepKind> step;
  for (const FlagLine& flag : kFlags) {
    if (word != flag.name) continue;
    nest.*flag.flag = true;
    step = flag.step;
  }
  for (const SizeLine& size : kSizes) {
    if (word != size.name) continue;
    const std::string_view text = take_word(line);
    const auto n = parse_size(text);
    if (!n || *n < 1 || *n > size.most)
      return fail(number, fmt::format("'{}' is no {} of 1 to {}", text, size.name, size.most));
    nest.*size.size = *n;
    step = size.step;
  }
  if (!step) return false;
  const auto numbers = parse_numbers(*step, rest_of(line));
  if (!numbers) return fail(number, numbers.error().message);
  set_numbers(nest, *step, *numbers);
  return true;
}

// "0..32", "taps*8"; empty where the range depends on the call.
std::string range_text(const LoopNest& nest, size_t loop) {
  const Dim dim = nest.loops[loop].dim;
  if (nest.cut() && loop_name(nest, loop).size() == 1) {
    if (dim == Dim::kTap) return "taps";
    if (dim == Dim::kReduction) return fmt::format("taps*{}", nest.problem.group_channels());
  }
  const auto extent = loop_extent(nest, loop);
  return extent ? fmt::format("0..{}", *extent) : "";
}

// What a line says of a loop's range, which follows from the layer and from the loops outside.
struct Range {
  size_t loop;
  int line;
  std::string text;
};

Result<void> check_range(const LoopNest& nest, const Range& range) {
  const std::string real = range_text(nest, range.loop);
  if (range.text == real) return {};
  return fail(range.line,
              fmt::format("the loop {} is said to run over {}, and {}; mend it or leave '= ..' out",
                          loop_name(nest, range.loop), range.text.substr(0, 60),
                          real.empty() ? "how far it runs is not known before a call"
                                       : "by the layer and the loops outside it runs over " + real));
}

// "for f1 = 0..32 step 16"; the range may be left out.
Result<void> parse_loop(LoopNest& nest, std::vector<Range>& ranges, std::string_view line, int number) {
  const std::string_view word = take_word(line);
  if (word == "band") {
    if (!take_word(line).empty()) return fail(number, "nothing stands behind 'band'");
    nest.loops.push_back({Dim::kStep, 1, Role::kBand});
    return {};
  }
  if (const auto property = parse_property(nest, word, line, number); !property)
    return tl::unexpected(property.error());
  else if (*property)
    return {};
  Loop loop{};
  bool known = false;
  for (const Role role : {Role::kSerial, Role::kTile, Role::kLanes, Role::kUnroll}) {
    if (word == role_word(role)) {
      loop.role = role;
      known = true;
    }
  }
  const std::string_view name = take_word(line);
  const size_t dim = name.empty() ? std::string_view::npos : kDimLetters.find(name[0]);
  if (!known || dim == std::string_view::npos)
    return fail(number, fmt::format("'{} {}' is no loop", word, name));
  loop.dim = static_cast<Dim>(dim);
  std::string range;
  for (std::string_view next = take_word(line); !next.empty(); next = take_word(line)) {
    if (next == "tail") {
      auto tail = parse_tail(rest_of(line));
      if (!tail) return fail(number, tail.error().message);
      loop.tail = std::move(*tail);
      break;
    }
    if (next != "step" && next != "wide") {
      range += next;
      continue;
    }
    const std::string_view text = take_word(line);
    const auto size = parse_size(text);
    if (!size) return fail(number, fmt::format("'{}' is no {}", text, next));
    (next == "step" ? loop.step : loop.wide) = *size;
  }
  nest.loops.push_back(loop);
  if (!range.empty() && !range.starts_with('='))
    return fail(number,
                fmt::format("'{}' stands where '= 0..N' or 'step N' is expected", range.substr(0, 60)));
  if (!range.empty()) ranges.push_back({nest.loops.size() - 1, number, range.substr(1)});
  if (loop_name(nest, nest.loops.size() - 1) != name) {
    return fail(number,
                fmt::format("this loop is called {}, not {}", loop_name(nest, nest.loops.size() - 1), name));
  }
  return {};
}

}  // namespace

std::string print(const LoopNest& nest) {
  std::string out = fmt::format("nest {} {{\n  # {}\n", problem_text(nest.problem), subscripts(nest.problem));
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& l = nest.loops[i];
    if (l.role == Role::kBand) {
      out += "  band\n";
      continue;
    }
    fmt::format_to(std::back_inserter(out), "  {} {}", role_word(l.role), loop_name(nest, i));
    if (const std::string range = range_text(nest, i); !range.empty()) out += " = " + range;
    if (l.step != 1) fmt::format_to(std::back_inserter(out), " step {}", l.step);
    if (l.wide > 0) fmt::format_to(std::back_inserter(out), " wide {}", l.wide);
    if (!l.tail.sizes.empty() || l.tail.strategy == TailStrategy::kMask)
      fmt::format_to(std::back_inserter(out), " tail {}", print(l.tail));
    out += '\n';
  }
  for (const FlagLine& line : kFlags) {
    if (nest.*line.flag) out += fmt::format("  {}{}\n", line.name, print_numbers(nest, line.step));
  }
  for (const SizeLine& line : kSizes) {
    if (nest.*line.size != 0)
      out += fmt::format("  {} {}{}\n", line.name, nest.*line.size, print_numbers(nest, line.step));
  }
  return out + "}\n";
}

Result<NestList> parse_nests(std::string_view text) {
  NestList list;
  LoopNest nest;
  std::vector<Range> ranges;
  bool open = false;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (line.empty()) continue;
    if (open && line.starts_with('}')) {
      if (line.find_first_not_of(" \t\r", 1) != std::string_view::npos)
        return fail(number, "nothing stands behind '}'");
      if (auto ok = verify(nest); !ok) return tl::unexpected(ok.error());
      for (const Range& range : ranges)
        if (auto ok = check_range(nest, range); !ok) return tl::unexpected(ok.error());
      list.nests.push_back(std::move(nest));
      open = false;
    } else if (open) {
      if (auto ok = parse_loop(nest, ranges, line, number); !ok) return tl::unexpected(ok.error());
    } else if (list.nests.empty() && list.layer.empty() && line.starts_with("layer ")) {
      list.layer = line.substr(6);
    } else if (!list.nests.empty() && !line.starts_with("nest ")) {
      return fail(number, "text after the end of the nest");
    } else {
      auto problem = parse_header(line, number);
      if (!problem) return tl::unexpected(problem.error());
      nest = {};
      ranges.clear();
      nest.problem = *problem;
      open = true;
    }
  }
  if (open || list.nests.empty()) return fail(1, "expected 'nest LAYER {' with loops and a closing '}'");
  return list;
}

Result<LoopNest> parse_nest(std::string_view text) {
  auto list = parse_nests(text);
  if (!list) return tl::unexpected(list.error());
  if (list->nests.size() == 1 && list->layer.empty()) return std::move(list->nests.front());
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("Nest text: {} nests stand where one is expected.", list->nests.size()));
}

}  // namespace convsmith::ir
