#include "codegen/vir/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include "codegen/vir/verify.hpp"

namespace convsmith::vir {

namespace {

constexpr std::string_view kKindLetters = "pivm";
// Far more than lowering makes; texts from elsewhere may not exhaust what reads them.
constexpr int kMostNesting = 200;

// The text of one operand; `reg` is the next register of the instruction.
std::string operand_text(const Program& program, const Inst& inst, char c, uint16_t reg) {
  switch (c) {
    case 'P':
    case 'p':
      return fmt::format("p{}", reg);
    case 'I':
    case 'i':
    case 'X':
      return fmt::format("i{}", reg);
    case 'V':
    case 'v':
      return fmt::format("v{}", reg);
    case 'M':
    case 'm':
      return fmt::format("m{}", reg);
    case '@':
      return fmt::format("[p{}{:+}]", reg, inst.imm);
    case 'a':
      return std::string(arg_text(static_cast<Arg>(inst.imm)));
    case 's':
      return program.labels[static_cast<size_t>(inst.imm)];
    case 'f':
      return fmt::format("0x{:08x}", inst.imm);
    default:
      return fmt::format("{}", inst.imm);
  }
}

constexpr bool has_register(char c) {
  return std::string_view("PpIiXVvMm@").find(c) != std::string_view::npos;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::vector<Listing>> run() {
    while (next_line()) {
      if (words_.empty()) continue;
      auto ok = depth_ > 0 ? instruction() : header();
      if (!ok) return tl::unexpected(ok.error());
    }
    if (depth_ != 0) return tl::unexpected(fail("a block is not closed by '}'").error());
    if (listings_.empty()) return tl::unexpected(fail("expected 'vir NAME lanes N scratch BYTES {'").error());
    listings_.back().text += std::string_view(begin_, text_.data());
    return std::move(listings_);
  }

 private:
  Result<void> fail(const std::string& what) const {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("vir text, line {}: {}.", std::max(line_, 1), what));
  }

  // Splits the next line at blanks; '#' starts a comment.
  bool next_line() {
    if (text_.empty()) return false;
    ++line_;
    const size_t end = std::min(text_.find('\n'), text_.size());
    std::string_view line = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    line = line.substr(0, line.find('#'));
    words_.clear();
    while (true) {
      const size_t begin = line.find_first_not_of(" \t\r");
      if (begin == std::string_view::npos) return true;
      const size_t stop = std::min(line.find_first_of(" \t\r", begin), line.size());
      words_.push_back(line.substr(begin, stop - begin));
      line.remove_prefix(stop);
    }
  }

  static std::optional<int64_t> number(std::string_view word) {
    int base = 10;
    if (word.starts_with('+')) word.remove_prefix(1);
    if (word.starts_with("0x")) {
      base = 16;
      word.remove_prefix(2);
    }
    int64_t value = 0;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value, base);
    if (code != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return value;
  }

  static std::optional<Arg> argument(std::string_view word) {
    for (int a = 0; a < kArgs; ++a) {
      if (arg_text(static_cast<Arg>(a)) == word) return static_cast<Arg>(a);
    }
    return std::nullopt;
  }

  Result<void> header() {
    if (!listings_.empty() && words_[0] != "vir") return fail("text after the end of the program");
    program_ = {};
    lines_.clear();
    if (words_.size() < 7 || words_[0] != "vir" || words_[2] != "lanes" || words_[4] != "scratch" ||
        words_.back() != "{" || (words_.size() > 7 && words_[6] != "params")) {
      return fail("expected 'vir NAME lanes N scratch BYTES {'");
    }
    const auto lanes = number(words_[3]);
    const auto scratch = number(words_[5]);
    if (!lanes || *lanes < 0 || *lanes > 64 || !scratch || *scratch < 0)
      return fail("lanes and scratch must be numbers");
    program_.name = words_[1];
    program_.lanes = static_cast<int>(*lanes);
    program_.scratch_bytes = *scratch;
    for (size_t i = 7; i + 1 < words_.size(); ++i) {
      const auto arg = argument(words_[i]);
      if (!arg) return fail(fmt::format("'{}' is no argument", words_[i]));
      program_.params.push_back(*arg);
    }
    depth_ = 1;
    return {};
  }

  Result<void> instruction() {
    if (words_.size() == 1 && words_[0] == "}") {
      if (--depth_ == 0) return finish();
      return add({Opcode::kEnd, {}, 0});
    }
    // "d = op a b" is read in signature order as "op d a b".
    std::vector<std::string_view> operands;
    std::string_view name = words_[0];
    if (words_.size() >= 3 && words_[1] == "=") {
      operands.push_back(words_[0]);
      name = words_[2];
      operands.insert(operands.end(), words_.begin() + 3, words_.end());
    } else {
      operands.assign(words_.begin() + 1, words_.end());
    }
    for (int op = 0; op < kOpcodes; ++op) {
      if (info(static_cast<Opcode>(op)).text == name) return operands_of(static_cast<Opcode>(op), operands);
    }
    return fail(fmt::format("'{}' is no operation", name));
  }

  Result<void> operands_of(Opcode op, std::vector<std::string_view> operands) {
    if (opens_block(op)) {
      if (operands.empty() || operands.back() != "{") return fail("a block starts with '{'");
      operands.pop_back();
      if (++depth_ > kMostNesting)
        return fail(fmt::format("more than {} blocks stand inside each other", kMostNesting));
    }
    const std::string_view signature = info(op).signature;
    if (operands.size() != signature.size()) {
      return fail(
          fmt::format("'{}' takes {} operands, found {}", info(op).text, signature.size(), operands.size()));
    }
    Inst inst{op, {}, 0};
    size_t regs = 0;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!operand(inst, signature[i], operands[i], regs)) {
        return fail(fmt::format("'{}' is no operand {} of '{}'", operands[i], i + 1, info(op).text));
      }
    }
    return add(inst);
  }

  Result<void> add(const Inst& inst) {
    program_.body.push_back(inst);
    lines_.push_back(line_);
    return {};
  }

  Result<void> finish() {
    if (auto ok = verify(program_); !ok) return ok;
    listings_.push_back({std::move(program_), std::move(lines_), std::string(begin_, text_.data())});
    begin_ = text_.data();
    return {};
  }

  bool operand(Inst& inst, char c, std::string_view word, size_t& regs) {
    if (c == '@') {
      const size_t sign = word.find_first_of("+-");
      if (!word.starts_with("[p") || !word.ends_with("]") || sign == std::string_view::npos) return false;
      const auto offset = number(word.substr(sign, word.size() - sign - 1));
      if (!offset) return false;
      inst.imm = *offset;
      return reg(inst, Kind::kPtr, word.substr(1, sign - 1), regs);
    }
    if (has_register(c)) {
      const char letter = c == 'X' ? 'i' : static_cast<char>(c | 0x20);
      return reg(inst, static_cast<Kind>(kKindLetters.find(letter)), word, regs);
    }
    if (c == 'a') {
      const auto arg = argument(word);
      if (arg) inst.imm = static_cast<int64_t>(*arg);
      return arg.has_value();
    }
    if (c == 's') {
      inst.imm = static_cast<int64_t>(program_.labels.size());
      program_.labels.emplace_back(word);
      return true;
    }
    const auto value = number(word);
    inst.imm = value.value_or(0);
    return value.has_value();
  }

  bool reg(Inst& inst, Kind kind, std::string_view word, size_t& regs) {
    if (word.size() < 2 || word[0] != kKindLetters[static_cast<size_t>(kind)]) return false;
    const auto id = number(word.substr(1));
    if (!id || *id < 0 || *id >= 0xffff) return false;
    inst.regs[regs++] = static_cast<uint16_t>(*id);
    uint16_t& count = program_.registers[static_cast<size_t>(kind)];
    count = std::max(count, static_cast<uint16_t>(*id + 1));
    return true;
  }

  std::string_view text_;
  const char* begin_ = text_.data();  // of what belongs to the next program
  int line_ = 0;
  std::vector<std::string_view> words_;
  int depth_ = 0;
  Program program_;
  std::vector<int> lines_;
  std::vector<Listing> listings_;
};

}  // namespace

std::string print(const Program& program, const Inst& inst) {
  if (inst.op == Opcode::kEnd) return "}";
  const OpInfo& op = info(inst.op);
  std::string before;
  std::string after;
  size_t regs = 0;
  for (const char c : op.signature) {
    const std::string text = operand_text(program, inst, c, inst.regs[std::min<size_t>(regs, 3)]);
    if (has_register(c)) ++regs;
    if (std::string_view("PIVM").find(c) != std::string_view::npos) {
      before = text + " = ";
    } else {
      after += ' ';
      after += text;
    }
  }
  return fmt::format("{}{}{}{}", before, op.text, after, opens_block(inst.op) ? " {" : "");
}

std::string print(const Program& program) {
  std::string params;
  for (const Arg arg : program.params) params += fmt::format(" {}", arg_text(arg));
  std::string out = fmt::format("vir {} lanes {} scratch {}{}{} {{\n", program.name, program.lanes,
                                program.scratch_bytes, params.empty() ? "" : " params", params);
  size_t depth = 1;
  for (const Inst& inst : program.body) {
    if (inst.op == Opcode::kEnd) --depth;
    fmt::format_to(std::back_inserter(out), "{:{}}{}\n", "", 2 * depth, print(program, inst));
    if (opens_block(inst.op)) ++depth;
  }
  return out + "}\n";
}

Result<std::vector<Listing>> parse_listings(std::string_view text) {
  return Parser(text).run();
}

Result<Program> parse(std::string_view text) {
  auto listings = parse_listings(text);
  if (!listings) return tl::unexpected(listings.error());
  if (listings->size() == 1) return std::move(listings->front().program);
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("vir text: {} programs stand where one is expected.", listings->size()));
}

}  // namespace convsmith::vir
