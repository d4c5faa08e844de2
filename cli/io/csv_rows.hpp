// Delimited text as rows of cells: which character separates them, quotes, lines that end in any way. What
// the cells mean is for others to say. Used by parse_csv and by read_shapes.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith::cli {

struct CsvCell {
  std::string_view text;  // without quotes, and without blanks around it
  bool quoted = false;
};

struct CsvRow {
  int64_t line = 0;  // where it begins, from 1
  std::vector<CsvCell> cells;
  std::deque<std::string> unescaped;  // what cells with doubled quotes point to
};

class CsvRows {
 public:
  // The text must outlive the rows. Its first line has the number `line`.
  CsvRows(std::string_view text, char separator, int64_t line = 1)
      : text_(text), separator_(separator), line_(line) {}

  // The next row that is not blank; false behind the last one, and where a quote is never closed.
  bool next(CsvRow& row);
  // The line of a quote that is never closed.
  std::optional<int64_t> open_quote() const { return open_quote_; }

 private:
  CsvCell next_cell(CsvRow& row);
  std::optional<CsvCell> quoted_cell(CsvRow& row);
  bool is_blank(char c) const { return c == ' ' || (c == '\t' && separator_ != '\t'); }
  // Whether a cell ends at `at`: there, or behind blanks.
  bool ends_at(size_t at) const;
  void skip_blanks();
  // Over "\n", "\r\n" or "\r".
  void skip_line_end();

  std::string_view text_;
  char separator_;
  int64_t line_;
  size_t at_ = 0;
  std::optional<int64_t> open_quote_;
};

// Tab, ';' or ',': the first of them that the first row has, and as often as the second one, which may have
// one cell more (an index that is not named).
char find_separator(std::string_view text);

// Whatever text files begin with that is no text.
std::string_view without_byte_order_mark(std::string_view text);

}  // namespace convsmith::cli
