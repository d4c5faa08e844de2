// Comma-separated values: a row for each step, a column for each channel.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

#include "cli/tensor.hpp"

namespace convsmith::cli {
namespace {

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// A number as any locale's program writes it, rounded once; nan and inf are numbers. Empty: none, or one
// beyond the largest float.
std::optional<float> parse_number(std::string_view cell) {
  if (cell.starts_with('+')) cell.remove_prefix(1);
  const char* const end = cell.data() + cell.size();
  float value = 0;
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (error == std::errc() && stop == end) return value;
  if (error != std::errc::result_out_of_range || stop != end) return std::nullopt;
  // Too small counts as 0, too large is refused.
  double wide = 0;
  const auto [wide_stop, wide_error] = std::from_chars(cell.data(), end, wide);
  if (wide_error != std::errc() || std::abs(wide) > 1.0) return std::nullopt;
  return static_cast<float>(wide);
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& name, const std::vector<std::string>& wanted)
      : text_(text), name_(name), wanted_(wanted) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);  // a byte order mark
    while (!text_.empty() && std::string_view(" \t\r\n").find(text_.back()) != std::string_view::npos) {
      text_.remove_suffix(1);
    }
  }

  Result<Signal> run() {
    while (!text_.empty()) {
      ++line_;
      const size_t end = std::min(text_.find('\n'), text_.size());
      if (Result<void> done = row(text_.substr(0, end)); !done) return tl::unexpected(done.error());
      text_.remove_prefix(std::min(end + 1, text_.size()));
    }
    if (steps_ == 0) return fail("it has no row of numbers");
    signal_.tensor.shape = {steps_, static_cast<int64_t>(picked_.size())};
    return std::move(signal_);
  }

 private:
  tl::unexpected<Error> fail(const std::string& what) const {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", name_, what));
  }

  static std::vector<std::string_view> cells_of(std::string_view line) {
    std::vector<std::string_view> cells;
    for (bool more = true; more;) {
      const size_t comma = line.find(',');
      cells.push_back(trim(line.substr(0, comma)));
      more = comma != std::string_view::npos;
      if (more) line.remove_prefix(comma + 1);
    }
    return cells;
  }

  static std::optional<size_t> as_number(const std::string& word) {
    size_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return number;
  }

  // Which columns are taken, once the first line is known.
  Result<void> pick(const std::vector<std::string_view>& first, bool header) {
    for (const std::string& word : wanted_) {
      const auto named = header ? std::find(first.begin(), first.end(), word) : first.end();
      const std::optional<size_t> number = as_number(word);
      if (named != first.end()) {
        picked_.push_back(static_cast<size_t>(named - first.begin()));
      } else if (number && *number >= 1 && *number <= first.size()) {
        picked_.push_back(*number - 1);
      } else if (header && !number) {
        return fail(fmt::format("it has no column '{}'; its columns are {}", printable(word),
                                printable(fmt::format("{}", fmt::join(first, ", ")))));
      } else {
        return fail(fmt::format("it has no column '{}'; columns are {}numbers from 1 to {}", printable(word),
                                header ? "names of its first line, or " : "", first.size()));
      }
    }
    for (size_t i = 0; wanted_.empty() && i < first.size(); ++i) picked_.push_back(i);
    channels_ = static_cast<int64_t>(first.size());
    return {};
  }

  Result<void> row(std::string_view line) {
    const std::vector<std::string_view> cells = cells_of(line);
    if (line_ == 1) {
      const bool header = is_header(cells);
      if (Result<void> done = pick(cells, header); !done) return done;
      if (header && wanted_.empty())
        signal_.notes.push_back(
            fmt::format("The first line of {} holds no number: taken as a header.", name_));
      if (header) return {};
    }
    for (const size_t column : picked_) {
      if (column >= cells.size()) break;
      const std::optional<float> value = parse_number(cells[column]);
      if (!value) {
        return fail(fmt::format("line {}, column {} is '{}'; it must be a float32 number", line_, column + 1,
                                printable(cells[column])));
      }
      signal_.tensor.data.push_back(*value);
    }
    const auto columns = static_cast<int64_t>(cells.size());
    if (columns != channels_) {
      return fail(fmt::format("line {} has {} columns; it must have {}, as the lines before it", line_,
                              columns, channels_));
    }
    ++steps_;
    return {};
  }

  // Names of columns: cells that are not empty and no numbers.
  static bool is_header(const std::vector<std::string_view>& cells) {
    return std::none_of(cells.begin(), cells.end(), [](std::string_view cell) {
      const bool starts_number = !cell.empty() && std::string_view("+-.0123456789").find(cell[0]) < 13;
      return cell.empty() || starts_number || parse_number(cell);
    });
  }

  std::string_view text_;
  const std::string& name_;
  const std::vector<std::string>& wanted_;
  std::vector<size_t> picked_;  // columns
  Signal signal_;
  int64_t line_ = 0;
  int64_t steps_ = 0;
  int64_t channels_ = 0;  // columns of each line
};

}  // namespace

Result<Signal> parse_csv(std::string_view text, const std::string& name,
                         const std::vector<std::string>& columns) {
  return Parser(text, name, columns).run();
}

std::string csv_text(const Tensor& tensor) {
  const int64_t channels = tensor.shape[1];
  std::string text;
  for (size_t i = 0; i < tensor.data.size(); ++i) {
    // The shortest text that reads back as the same float.
    fmt::format_to(std::back_inserter(text), "{}", tensor.data[i]);
    text.push_back(static_cast<int64_t>(i) % channels == channels - 1 ? '\n' : ',');
  }
  return text;
}

}  // namespace convsmith::cli
