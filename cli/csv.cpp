// Comma-separated values: a row for each step, a column for each channel.
#include <fmt/format.h>

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
  Parser(std::string_view text, const std::string& name) : text_(text), name_(name) {
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
    signal_.tensor.shape = {steps_, channels_};
    return std::move(signal_);
  }

 private:
  tl::unexpected<Error> fail(const std::string& what) const {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", name_, what));
  }

  Result<void> row(std::string_view line) {
    if (line_ == 1 && is_header(line)) {
      signal_.notes.push_back(fmt::format("The first line of {} holds no number: taken as a header.", name_));
      return {};
    }
    int64_t columns = 0;
    for (bool more = true; more;) {
      const size_t comma = line.find(',');
      const std::string_view cell = trim(line.substr(0, comma));
      ++columns;
      const std::optional<float> value = parse_number(cell);
      if (!value) {
        return fail(fmt::format("line {}, column {} is '{}'; it must be a float32 number", line_, columns,
                                printable(cell)));
      }
      signal_.tensor.data.push_back(*value);
      more = comma != std::string_view::npos;
      if (more) line.remove_prefix(comma + 1);
    }
    if (steps_ > 0 && columns != channels_) {
      return fail(fmt::format("line {} has {} columns; it must have {}, as the lines before it", line_,
                              columns, channels_));
    }
    channels_ = columns;
    ++steps_;
    return {};
  }

  // Names of columns: cells that are not empty and no numbers.
  static bool is_header(std::string_view line) {
    for (bool more = true; more;) {
      const size_t comma = line.find(',');
      const std::string_view cell = trim(line.substr(0, comma));
      const bool starts_number = !cell.empty() && std::string_view("+-.0123456789").find(cell[0]) < 13;
      if (cell.empty() || starts_number || parse_number(cell)) return false;
      more = comma != std::string_view::npos;
      if (more) line.remove_prefix(comma + 1);
    }
    return true;
  }

  std::string_view text_;
  const std::string& name_;
  Signal signal_;
  int64_t line_ = 0;
  int64_t steps_ = 0;
  int64_t channels_ = 0;
};

}  // namespace

Result<Signal> parse_csv(std::string_view text, const std::string& name) {
  return Parser(text, name).run();
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
