// Tables of numbers: a row for each step, a column for each channel. The first line may hold names, a line
// below it units, the first column an index.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <unordered_map>

#include "cli/io/csv_rows.hpp"
#include "cli/io/tensor.hpp"

namespace convsmith::cli {
namespace {

// What pandas takes for a missing number, beside an empty cell and what parse_number reads as NaN.
bool is_missing_word(std::string_view cell) {
  for (const char* word : {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "<NA>",
                           "N/A", "NA", "NULL", "None", "n/a", "null"})
    if (cell == word) return true;
  return false;
}

// What pandas takes for a truth value.
std::optional<float> parse_truth(std::string_view cell) {
  for (const char* word : {"True", "TRUE", "true"})
    if (cell == word) return 1.0F;
  for (const char* word : {"False", "FALSE", "false"})
    if (cell == word) return 0.0F;
  return std::nullopt;
}

// A number as any locale's program writes it, rounded once; nan and inf are numbers. One beyond the largest
// float is infinite, one below the smallest is 0.
std::optional<float> parse_number(std::string_view cell) {
  if (cell.starts_with('+') && !cell.starts_with("+-")) cell.remove_prefix(1);
  const char* const end = cell.data() + cell.size();
  float value = 0;
  const auto [stop, error] = std::from_chars(cell.data(), end, value);
  if (error == std::errc() && stop == end) return value;
  if (error != std::errc::result_out_of_range || stop != end) return std::nullopt;
  long double wide = 0;
  if (std::from_chars(cell.data(), end, wide).ec != std::errc())
    wide = cell.find("e-") != cell.npos || cell.find("E-") != cell.npos ? 0.0L : HUGE_VALL;
  const float magnitude = std::abs(wide) > 1 ? HUGE_VALF : static_cast<float>(std::abs(wide));
  return cell.starts_with('-') ? -magnitude : magnitude;
}

// An infinity that is written in digits.
bool is_too_large(std::string_view cell, float value) {
  return std::isinf(value) && cell.find_first_of("0123456789") != std::string_view::npos;
}

std::optional<size_t> as_count(std::string_view word) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

// No digit, unless behind a letter ("m/s2", "cmH2O"): others are numbers, however they are written.
bool may_be_unit(std::string_view cell) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto* const letter = std::find_if(cell.begin(), cell.end(), is_letter);
  return std::none_of(cell.begin(), letter, is_digit);
}

// As quotes may keep them around a number.
std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// "1,5" and the like.
bool has_decimal_comma(std::string_view cell) {
  return std::count(cell.begin(), cell.end(), ',') == 1 && cell.find('.') == std::string_view::npos;
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& name, const std::vector<std::string>& wanted)
      : name_(name), wanted_(wanted), text_(skip_comments(without_byte_order_mark(text))) {
    separator_ = find_separator(text_);
    signal_.format = FileFormat::kCsv;
  }

  Result<Signal> run() {
    CsvRows rows(text_, separator_, first_line_);
    CsvRow first;
    CsvRow second;
    CsvRow third;
    CsvRows ahead = rows;
    const bool has_first = ahead.next(first);
    const bool has_second = has_first && ahead.next(second);
    const bool has_third = has_second && ahead.next(third);
    if (has_first) {
      find_names(first, has_second ? &second : nullptr);
      if (Result<void> done = pick(); !done) return tl::unexpected(done.error());
      if (is_header_) rows.next(first);
      // Where two such lines follow each other, the column is text.
      if (is_header_ && has_third && holds_units(second) && !holds_units(third)) {
        rows.next(second);
        signal_.notes.push_back(
            fmt::format("Line {} of {} holds units, not numbers: it is skipped.", second.line, name_));
      }
    }
    for (CsvRow row; rows.next(row);)
      if (Result<void> done = take(row); !done) return tl::unexpected(done.error());
    if (rows.open_quote() || ahead.open_quote()) {
      const int64_t line = rows.open_quote() ? *rows.open_quote() : *ahead.open_quote();
      return fail(fmt::format("line {} opens a quote (\") that nothing closes", line));
    }
    if (steps_ == 0) return fail("it has no row of numbers");
    signal_.tensor.shape = {steps_, static_cast<int64_t>(picked_.size())};
    note_missing();
    return std::move(signal_);
  }

 private:
  tl::unexpected<Error> fail(const std::string& what) const {
    return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", name_, what));
  }

  // Lines before all others that begin with #, as numpy.savetxt writes them. The last may hold names.
  std::string_view skip_comments(std::string_view text) {
    while (true) {
      const size_t begin = text.find_first_not_of(" \t\r\n");
      if (begin == std::string_view::npos || text[begin] != '#') return text;
      const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
      comment_ = text.substr(begin, end - begin);
      comment_.remove_prefix(std::min(comment_.find_first_not_of("# "), comment_.size()));
      first_line_ += std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), '\n');
      text.remove_prefix(end);
    }
  }

  std::optional<float> number_in(const CsvCell& cell) const {
    const std::string_view written = without_blanks(cell.text);
    if (separator_ != ';' || !has_decimal_comma(written)) return parse_number(written);
    std::string text(written);
    std::replace(text.begin(), text.end(), ',', '.');
    return parse_number(text);
  }
  bool is_number(const CsvCell& cell) const { return is_missing_word(cell.text) || number_in(cell); }
  bool is_name(const CsvCell& cell) const {
    if (cell.text.empty() || is_number(cell)) return false;
    return cell.quoted || std::string_view("+-.0123456789").find(cell.text[0]) == std::string_view::npos;
  }

  // A truth value over another one is as good as a number: no name, as it would be over something else.
  static CsvRow without_truths(const CsvRow& first, const CsvRow* second) {
    CsvRow row{first.line, first.cells, {}};
    for (size_t i = 0; second != nullptr && i < std::min(row.cells.size(), second->cells.size()); ++i)
      if (parse_truth(row.cells[i].text) && parse_truth(second->cells[i].text)) row.cells[i].text = "1.0";
    return row;
  }

  // Whether the first row holds names rather than numbers. `second`: null where there is no other row.
  bool is_header(const CsvRow& first_row, const CsvRow* second) const {
    const CsvRow first = without_truths(first_row, second);
    const auto any = [&](const CsvRow& row, const auto& test) {
      return std::any_of(row.cells.begin(), row.cells.end(), test);
    };
    const bool numbers = any(first, [&](const CsvCell& cell) { return is_number(cell); });
    const bool names = any(first, [&](const CsvCell& cell) { return is_name(cell); });
    const bool text = any(first, [&](const CsvCell& cell) { return !cell.text.empty() && !is_number(cell); });
    if (names && (!numbers || second != nullptr)) return true;
    const auto is_either = [&](const CsvCell& cell) { return is_number(cell) || is_name(cell); };
    if (text && !numbers && second != nullptr && any(*second, is_either)) return true;
    if (any(first, [&](const CsvCell& cell) { return !is_number(cell) && is_wanted(cell.text); }))
      return true;
    // Names that are numbers: quoted where the rows are not, or as pandas counts them, behind an index.
    const auto quoted = [](const CsvCell& cell) { return cell.quoted; };
    if (second != nullptr && std::all_of(first.cells.begin(), first.cells.end(), quoted) &&
        std::none_of(second->cells.begin(), second->cells.end(), quoted))
      return true;
    return first.cells.size() > 1 && first.cells[0].text.empty() && counts_from_zero(first, 1);
  }

  bool is_wanted(std::string_view text) const {
    return std::find(wanted_.begin(), wanted_.end(), text) != wanted_.end();
  }

  static bool counts_from_zero(const CsvRow& row, size_t from) {
    for (size_t i = from; i < row.cells.size(); ++i)
      if (row.cells[i].text != std::to_string(i - from)) return false;
    return true;
  }

  // Fills names_, columns_, is_header_.
  void find_names(const CsvRow& first, const CsvRow* second) {
    is_header_ = is_header(first, second);
    const CsvRow& row = second != nullptr ? *second : first;
    columns_ = first.cells.size();
    if (is_header_) {
      names_ = names_of(first);
      if (wanted_.empty())
        signal_.notes.push_back(fmt::format("Line {} of {} is taken as names of columns: {}.", first.line,
                                            name_, list_of(names_)));
      // A row of one cell more begins with an index that the header leaves out, as R writes it.
      if (row.cells.size() == columns_ + 1 && !row.cells.back().text.empty()) {
        names_.insert(names_.begin(), unnamed(0));
        ++columns_;
      }
    } else if (names_in_comment(first)) {
      CsvRows rows(comment_, separator_);
      CsvRow comment;
      rows.next(comment);
      names_ = names_of(comment);
    } else if (wanted_.empty() && columns_ > 1 && counts_from_zero(first, 0)) {
      signal_.notes.push_back(
          fmt::format("The first line of {} counts 0, 1, ...: it is taken as numbers, not as names.", name_));
    }
    // Lines that end with a separator.
    const bool bare = first.cells.back().text.empty() && !first.cells.back().quoted && columns_ > 1;
    if (bare && (row.cells.size() < columns_ || row.cells.back().text.empty())) --columns_;
    if (names_.size() > columns_) names_.resize(columns_);
  }

  bool names_in_comment(const CsvRow& first) const {
    CsvRows rows(comment_, separator_);
    CsvRow comment;
    return rows.next(comment) && comment.cells.size() == first.cells.size() &&
           std::any_of(comment.cells.begin(), comment.cells.end(),
                       [&](const CsvCell& cell) { return is_name(cell); });
  }

  // As pandas names columns: "Unnamed: 0" where there is no name, "mv.1" for the second mv.
  static std::vector<std::string> names_of(const CsvRow& row) {
    std::vector<std::string> names;
    std::unordered_map<std::string, int> copies;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      const std::string text(row.cells[i].text);
      const int copy = text.empty() ? 0 : copies[text]++;
      names.push_back(text.empty() ? unnamed(i) : copy == 0 ? text : fmt::format("{}.{}", text, copy));
    }
    return names;
  }

  static std::string unnamed(size_t column) { return fmt::format("Unnamed: {}", column); }

  static std::string list_of(const std::vector<std::string>& names) {
    constexpr size_t kMost = 20;
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kMost));
    std::string text = fmt::format("{}", fmt::join(names.begin(), end, ", "));
    if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
    std::replace(text.begin(), text.end(), '\n', ' ');
    return without_controls(std::move(text));
  }

  // Which columns are taken.
  Result<void> pick() {
    for (const std::string& word : wanted_) {
      const auto named = std::find(names_.begin(), names_.end(), word);
      const std::optional<size_t> number = as_count(word);
      if (named != names_.end()) {
        picked_.push_back(static_cast<size_t>(named - names_.begin()));
      } else if (number && *number >= 1 && *number <= columns_) {
        picked_.push_back(*number - 1);
      } else if (!names_.empty()) {
        return fail(fmt::format("it has no column '{}'; its columns are {}, or numbers from 1 to {}",
                                without_controls(word), list_of(names_), columns_));
      } else {
        return fail(fmt::format("it has no column '{}'; columns are numbers from 1 to {}",
                                without_controls(word), columns_));
      }
    }
    size_t left_out = 0;
    for (size_t i = 0; wanted_.empty() && i < columns_; ++i) {
      const bool named = i >= names_.size() || names_[i] != unnamed(i);
      if (named) picked_.push_back(i);
      if (!named && left_out++ == 0)
        signal_.notes.push_back(
            fmt::format("Column {} of {} has no name, as an index has none: columns "
                        "without a name are left out.",
                        i + 1, name_));
    }
    if (picked_.empty())
      return fail("none of its columns has a name; choose them by number, as in FILE.csv:1");
    if (!names_.empty())
      for (const size_t column : picked_) signal_.channels.push_back(names_[column]);
    return {};
  }

  // Text in the columns that are taken, and no number in any.
  bool holds_units(const CsvRow& row) const {
    for (const CsvCell& cell : row.cells)
      if (number_in(cell) || !may_be_unit(cell.text)) return false;
    bool text = false;
    for (const size_t column : picked_) {
      if (column >= row.cells.size()) return false;
      const CsvCell& cell = row.cells[column];
      if (is_number(cell) || parse_truth(cell.text)) return false;
      text = text || !cell.text.empty();
    }
    return text;
  }

  Result<void> take(const CsvRow& row) {
    const CsvCell none{};
    for (const size_t column : picked_) {
      const CsvCell& cell = column < row.cells.size() ? row.cells[column] : none;
      std::optional<float> value = number_in(cell);
      if (!value) value = parse_truth(cell.text);
      const bool missing = !value && (cell.text.empty() || is_missing_word(cell.text));
      if (!value && !missing) {
        const bool comma = separator_ != ';' && has_decimal_comma(cell.text);
        return fail(fmt::format("line {}, column {} is '{}'; it must be a float32 number{}", row.line,
                                column + 1, printable(cell.text),
                                comma ? " (decimal commas are read where semicolons separate)" : ""));
      }
      if (value && is_too_large(cell.text, *value)) {
        return fail(
            fmt::format("line {}, column {} is '{}', beyond the largest float32, {}; write inf where "
                        "that is meant",
                        row.line, column + 1, printable(cell.text), std::numeric_limits<float>::max()));
      }
      if (Result<void> done = check_decimals(row, column); !done) return done;
      if (missing && missing_++ == 0)
        first_missing_ = fmt::format("line {}, column {}", row.line, column + 1);
      signal_.tensor.data.push_back(value.value_or(std::numeric_limits<float>::quiet_NaN()));
    }
    const size_t columns = row.cells.size();
    const bool ends_bare = columns == columns_ + 1 && row.cells.back().text.empty();
    if (columns > columns_ && !ends_bare) {
      return fail(fmt::format("line {} has {} columns; it must have {}, as the lines before it", row.line,
                              columns, columns_));
    }
    if (ends_bare && bare_++ == 0 && !names_.empty()) {
      signal_.notes.push_back(
          fmt::format("Line {} of {} ends with a separator; that is no further column.", row.line, name_));
    }
    ++steps_;
    return {};
  }

  // Where decimal commas may stand, a point may be one as well, or part thousands: not both in one table.
  Result<void> check_decimals(const CsvRow& row, size_t column) {
    const std::string_view cell = row.cells[column].text;
    const size_t mark = separator_ == ';' ? cell.find_first_of(".,") : std::string_view::npos;
    if (mark == std::string_view::npos || cell.find_first_of("0123456789") == std::string_view::npos)
      return {};
    std::string& same = cell[mark] == ',' ? first_comma_ : first_point_;
    if (same.empty()) same = fmt::format("line {}, column {} is '{}'", row.line, column + 1, printable(cell));
    if (first_comma_.empty() || first_point_.empty()) return {};
    return fail(
        fmt::format("{}, and {}; decimals must have commas or points, not both", first_comma_, first_point_));
  }

  void note_missing() {
    if (missing_ == 1)
      signal_.notes.push_back(fmt::format("{}: {} is missing, and NaN.", name_, first_missing_));
    if (missing_ > 1)
      signal_.notes.push_back(fmt::format("{}: {} numbers are missing, and NaN; the first is {}.", name_,
                                          missing_, first_missing_));
  }

  const std::string& name_;
  const std::vector<std::string>& wanted_;
  std::string_view comment_;  // the last line of comments
  int64_t first_line_ = 1;    // of text_
  std::string_view text_;
  char separator_ = ',';
  bool is_header_ = false;
  std::vector<std::string> names_;  // of the columns; empty: none
  size_t columns_ = 0;              // of each row
  std::vector<size_t> picked_;      // columns
  Signal signal_;
  int64_t steps_ = 0;
  int64_t missing_ = 0;
  std::string first_missing_;
  int64_t bare_ = 0;  // lines that end with a separator
  std::string first_comma_;  // where a number has one, and what it is
  std::string first_point_;
};

}  // namespace

Result<Signal> parse_csv(std::string_view text, const std::string& name,
                         const std::vector<std::string>& columns) {
  for (const char* mark : {"\xff\xfe", "\xfe\xff"})
    if (text.starts_with(mark))
      return make_error(ErrorCode::kInvalidData, fmt::format("{} is UTF-16 text; save it as UTF-8.", name));
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
