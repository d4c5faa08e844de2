#include "ir/nest/nest_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "ir/nest/buffers.hpp"
#include "ir/nest/nest_verify.hpp"
#include "ir/nest/problem_text.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith::ir {

namespace {

// "hint nontemporal out above 24M"
struct HintLine {
  HintKind kind;
  std::string_view words;
  std::string_view number;
};
constexpr HintLine kHints[] = {{HintKind::kNontemporal, "nontemporal out", "above"},
                               {HintKind::kPrefetchWeights, "prefetch w", "share"},
                               {HintKind::kPrefetchInput, "prefetch in", "within"}};

std::string_view role_word(Role role) {
  switch (role) {
    case Role::kBand:
      return "band";
    case Role::kGuard:
      return "guard";
    case Role::kTile:
      return "tile";
    case Role::kLanes:
      return "lanes";
    case Role::kUnroll:
      return "unroll";
    case Role::kSkew:
      return "skew";
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

// What a complete nest says of its buffers.
std::vector<Buffer> printed_buffers(const LoopNest& nest) {
  const Inside form = inside_of(nest);
  const bool open = !nest.inside.empty() && (form.far ? form.tiles == 0 && !form.skewed
                                                      : form.chunk == 0 && nest.problem.channels > 1);
  return !open && verify_lowerable(nest) ? buffers(nest) : std::vector<Buffer>{};
}

// "0..32", "taps*8"; empty where the range depends on the call. All taps are seen inside.
std::string range_text(const LoopNest& nest, const Loops& loops, size_t loop) {
  const Dim dim = loops[loop].dim;
  if (nest.cut() && &loops == &nest.loops && loop_name(loops, loop).size() == 1) {
    if (dim == Dim::kTap) return "taps";
    if (dim == Dim::kReduction) return fmt::format("taps*{}", nest.problem.group_channels());
  }
  if (loops[loop].step == 0) return "";
  const auto extent = loop_extent(nest.problem, loops, loop);
  return extent ? fmt::format("0..{}", *extent) : "";
}

// The lines of one nest, in order.
class NestParser {
 public:
  explicit NestParser(Problem problem) { nest_.problem = std::move(problem); }
  Result<void> line(std::string_view line, int number);
  // Verified.
  Result<LoopNest> end();

 private:
  // What a line says of a loop's range, or of a buffer: both follow from the layer and the loops.
  struct Range {
    const Loops* loops;
    size_t loop;
    int line;
    std::string text;
  };
  struct Said {
    int line;
    std::string text;
  };
  Result<void> part(std::string_view line, int number);
  Result<void> copy(std::string_view line, int number);
  Result<void> hint(std::string_view line, int number);
  Result<void> pack(std::string_view line, int number);
  Result<void> loop(std::string_view word, std::string_view line, int number);
  Result<bool> step(std::string_view line, int number);
  Result<void> check_range(const Range& range) const;
  Result<void> check_buffer(const Said& said) const;

  LoopNest nest_;
  Loops* loops_ = &nest_.loops;  // of the part that is read
  std::vector<Range> ranges_;
  std::vector<Said> buffers_;
  std::vector<std::pair<int, Step>> steps_;  // with their lines
};

Result<void> NestParser::line(std::string_view line, int number) {
  const std::string said(line);
  const std::string_view word = take_word(line);
  if (word == "band" || word == "guard") {
    if (!take_word(line).empty()) return fail(number, fmt::format("nothing stands behind '{}'", word));
    loops_->push_back({Dim::kStep, 1, word == "band" ? Role::kBand : Role::kGuard});
    return {};
  }
  if (word == "part") return part(line, number);
  if (word == "copy") return copy(line, number);
  if (word == "hint") return hint(line, number);
  if (word == "pack") return pack(line, number);
  if (word != "buffer") {
    const auto is_step = step(said, number);
    if (!is_step) return tl::unexpected(is_step.error());
    return *is_step ? Result<void>{} : loop(word, line, number);
  }
  Said buffer{number, fmt::format("{}", fmt::join(rest_of(said), " "))};
  const auto is_same = [&](const Said& other) { return other.text == buffer.text; };
  if (std::any_of(buffers_.begin(), buffers_.end(), is_same))
    return fail(number, fmt::format("'{}' stands twice", buffer.text.substr(0, 90)));
  buffers_.push_back(std::move(buffer));
  return {};
}

// Of the steps below the guard: 'inside' those that see all taps, 'edge' the others.
Result<void> NestParser::part(std::string_view line, int number) {
  const std::string_view which = take_word(line);
  const bool inside = which == "inside";
  if ((!inside && which != "edge") || !take_word(line).empty())
    return fail(number, "expected 'part inside' or 'part edge'");
  if (!nest_.guarded()) return fail(number, "parts stand below a guard");
  const bool is_inside = loops_ == &nest_.inside;
  if (inside && (is_inside || !nest_.inside.empty())) return fail(number, "'part inside' stands twice");
  if (!inside && !is_inside) return fail(number, "a 'part edge' follows the loops of a 'part inside'");
  loops_ = inside ? &nest_.inside : &nest_.loops;
  return {};
}

// "copy x1 = in per o apart 4096", "copy out = y1 per o1"
Result<void> NestParser::copy(std::string_view line, int number) {
  const std::vector<std::string> words = rest_of(line);
  const bool in = words.size() >= 5 && words[0] == "x1" && words[2] == "in";
  const bool out = words.size() == 5 && words[0] == "out" && words[2] == "y1";
  const auto loop = words.size() < 5 ? std::nullopt : find_loop(*loops_, words[4]);
  if ((!in && !out) || words[1] != "=" || words[3] != "per" || !loop)
    return fail(number, "expected 'copy x1 = in per LOOP' or 'copy out = y1 per LOOP'");
  ((*loops_)[*loop].*(in ? &Loop::copies_in : &Loop::copies_out)) = true;
  if (words.size() == 5) return {};
  const auto apart = words.size() == 7 && words[5] == "apart" ? parse_count(words[6]) : std::nullopt;
  if (!apart || *apart < 1) return fail(number, "expected 'apart BYTES' behind the loop");
  (*loops_)[*loop].apart = *apart;
  return {};
}

Result<void> NestParser::hint(std::string_view line, int number) {
  const std::vector<std::string> words = rest_of(line);
  for (const HintLine& hint : kHints) {
    if (words.size() < 2 || words[0] + " " + words[1] != hint.words) continue;
    const bool has_number = words.size() == 4 && words[2] == hint.number;
    const auto count = has_number ? parse_count(words[3]) : std::nullopt;
    if (words.size() > 2 && (!count || *count < 1))
      return fail(number, fmt::format("expected '{} COUNT' behind 'hint {}'", hint.number, hint.words));
    nest_.hints.push_back({hint.kind, count.value_or(0)});
    return {};
  }
  return fail(number, "expected 'hint nontemporal out', 'hint prefetch w' or 'hint prefetch in'");
}

Result<void> NestParser::pack(std::string_view line, int number) {
  const std::vector<std::string> words = rest_of(line);
  const auto count =
      words.size() == 3 && words[0] == "w" && words[1] == "by" ? parse_count(words[2]) : std::nullopt;
  if (!count || *count < 1 || *count > kMostPanel)
    return fail(number, fmt::format("expected 'pack w by' and 1 to {}", kMostPanel));
  nest_.packed_by = *count;
  return {};
}

// A schedule step that names no loop is what it makes of the nest: true if the line is one.
Result<bool> NestParser::step(std::string_view line, int number) {
  std::string_view rest = line;
  if (!is_nest_step(take_word(rest))) return false;
  const auto schedule = parse_schedule(line);
  if (!schedule) return fail(number, schedule.error().message);
  for (const Step& step : *schedule) steps_.emplace_back(number, step);
  return true;
}

// "for f1 = 0..32 step 16"; the range may be left out.
Result<void> NestParser::loop(std::string_view word, std::string_view line, int number) {
  Loop loop{};
  bool known = false;
  for (const Role role : {Role::kSerial, Role::kTile, Role::kLanes, Role::kUnroll, Role::kSkew}) {
    if (word != role_word(role)) continue;
    loop.role = role;
    known = true;
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
    if (next == "far" || next == "open") {
      loop.step = 0;
      continue;
    }
    if (next != "step" && next != "wide") {
      range += next;
      continue;
    }
    const std::string_view text = take_word(line);
    const auto size = parse_count(text);
    if (!size) return fail(number, fmt::format("'{}' is no {}", text, next));
    (next == "step" ? loop.step : loop.wide) = *size;
  }
  loops_->push_back(loop);
  if (!range.empty() && !range.starts_with('='))
    return fail(number,
                fmt::format("'{}' stands where '= 0..N' or 'step N' is expected", range.substr(0, 60)));
  if (!range.empty()) ranges_.push_back({loops_, loops_->size() - 1, number, range.substr(1)});
  const std::string real = loop_name(*loops_, loops_->size() - 1);
  if (real != name) return fail(number, fmt::format("this loop is called {}, not {}", real, name));
  return {};
}

Result<void> NestParser::check_range(const Range& range) const {
  const std::string real = range_text(nest_, *range.loops, range.loop);
  if (range.text == real) return {};
  return fail(range.line,
              fmt::format("the loop {} is said to run over {}, and {}; mend it or leave '= ..' out",
                          loop_name(*range.loops, range.loop), range.text.substr(0, 60),
                          real.empty() ? "how far it runs is not known before a call"
                                       : "by the layer and the loops outside it runs over " + real));
}

Result<void> NestParser::check_buffer(const Said& said) const {
  std::vector<std::string> real;
  for (const Buffer& buffer : printed_buffers(nest_)) real.push_back(print(buffer));
  if (std::find(real.begin(), real.end(), said.text) != real.end()) return {};
  return fail(said.line, fmt::format("'{}' is no buffer of this nest, which has {}; mend it or leave it out",
                                     said.text.substr(0, 90),
                                     real.empty() ? "none" : fmt::format("{}", fmt::join(real, ", "))));
}

Result<LoopNest> NestParser::end() {
  if (auto ok = verify(nest_); !ok) return tl::unexpected(ok.error());
  for (const auto& [number, step] : steps_) {
    auto applied = ir::apply(nest_, step);
    if (!applied) return fail(number, applied.error().message);
    nest_ = std::move(*applied);
  }
  for (const Range& range : ranges_) {
    if (auto ok = check_range(range); !ok) return tl::unexpected(ok.error());
  }
  for (const Said& said : buffers_) {
    if (auto ok = check_buffer(said); !ok) return tl::unexpected(ok.error());
  }
  return std::move(nest_);
}

std::string print_loop(const LoopNest& nest, const Loops& loops, size_t i) {
  const Loop& l = loops[i];
  std::string out(role_word(l.role));
  if (is_band(l.role)) return out;
  out += " " + loop_name(loops, i);
  if (const std::string range = range_text(nest, loops, i); !range.empty()) out += " = " + range;
  if (l.step == 0) out += l.role == Role::kLanes ? " far" : " open";
  if (l.step > 1) fmt::format_to(std::back_inserter(out), " step {}", l.step);
  if (l.wide > 0) fmt::format_to(std::back_inserter(out), " wide {}", l.wide);
  if (const std::string tail = print(l.tail); !tail.empty()) out += " tail " + tail;
  return out;
}

// Loops [begin, end), with what they copy.
std::string print_loops(const LoopNest& nest, const Loops& loops, size_t begin, size_t end) {
  std::string out;
  for (size_t i = begin; i < end; ++i) {
    out += "  " + print_loop(nest, loops, i) + "\n";
    if (!loops[i].copies_in) continue;
    out += "  copy x1 = in per " + loop_name(loops, i);
    out += loops[i].apart > 0 ? " apart " + print_count(loops[i].apart) + "\n" : "\n";
  }
  for (size_t i = end; i-- > begin;) {
    if (loops[i].copies_out) out += "  copy out = y1 per " + loop_name(loops, i) + "\n";
  }
  return out;
}

}  // namespace

std::string print(const LoopNest& nest) {
  std::string out = fmt::format("nest {} {{\n  # {}\n", problem_text(nest.problem), subscripts(nest.problem));
  for (const Buffer& buffer : printed_buffers(nest)) out += "  " + print(buffer) + "\n";
  const Loops& loops = nest.loops;
  size_t below = 0;  // the guard, where a part stands there
  if (!nest.inside.empty()) {
    while (below < loops.size() && loops[below++].role != Role::kGuard) {
    }
    out += print_loops(nest, loops, 0, below);
    out += "  part inside\n" + print_loops(nest, nest.inside, 0, nest.inside.size()) + "  part edge\n";
  }
  out += print_loops(nest, loops, below, loops.size());
  for (const Hint& hint : nest.hints) {
    for (const HintLine& line : kHints) {
      if (line.kind != hint.kind) continue;
      out += fmt::format("  hint {}", line.words);
      out += hint.number > 0 ? fmt::format(" {} {}\n", line.number, print_count(hint.number)) : "\n";
    }
  }
  if (nest.packed_by > 0) out += fmt::format("  pack w by {}\n", nest.packed_by);
  return out + "}\n";
}

Result<NestList> parse_nests(std::string_view text) {
  NestList list;
  std::optional<NestParser> nest;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (line.empty()) continue;
    if (nest && line.starts_with('}')) {
      if (line.find_first_not_of(" \t\r", 1) != std::string_view::npos)
        return fail(number, "nothing stands behind '}'");
      auto parsed = nest->end();
      if (!parsed) return tl::unexpected(parsed.error());
      list.nests.push_back(std::move(*parsed));
      nest.reset();
    } else if (nest) {
      if (auto ok = nest->line(line, number); !ok) return tl::unexpected(ok.error());
    } else if (list.nests.empty() && list.layer.empty() && line.starts_with("layer ")) {
      list.layer = line.substr(6);
    } else if (!list.nests.empty() && !line.starts_with("nest ")) {
      return fail(number, "text after the end of the nest");
    } else {
      auto problem = parse_header(line, number);
      if (!problem) return tl::unexpected(problem.error());
      nest.emplace(std::move(*problem));
    }
  }
  if (nest || list.nests.empty()) return fail(1, "expected 'nest LAYER {' with loops and a closing '}'");
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
