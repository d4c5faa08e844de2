#include "cli/io/csv_rows.hpp"

namespace convsmith::cli {

void CsvRows::skip_blanks() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
}

void CsvRows::skip_line_end() {
  if (at_ >= text_.size()) return;
  at_ += text_.substr(at_).starts_with("\r\n") ? 2 : 1;
  ++line_;
}

bool CsvRows::ends_at(size_t at) const {
  while (at < text_.size() && is_blank(text_[at])) ++at;
  return at >= text_.size() || text_[at] == separator_ || text_[at] == '\n' || text_[at] == '\r';
}

// A cell within quotes at the current place; nothing where the quote is an ordinary character. Lines may end
// within double quotes, as pandas has it; a single quote without its like is an apostrophe.
std::optional<CsvCell> CsvRows::quoted_cell(CsvRow& row) {
  const char quote = text_[at_];
  const int64_t first_line = line_;
  int64_t lines = 0;
  bool doubled = false;
  for (size_t end = at_ + 1; end < text_.size(); ++end) {
    const char c = text_[end];
    const bool line_ends = c == '\n' || (c == '\r' && !text_.substr(end).starts_with("\r\n"));
    if (line_ends && quote == '\'') return std::nullopt;
    if (line_ends) ++lines;
    if (c != quote) continue;
    if (end + 1 < text_.size() && text_[end + 1] == quote) {
      doubled = true;
      ++end;
      continue;
    }
    if (!ends_at(end + 1)) return std::nullopt;
    CsvCell cell{text_.substr(at_ + 1, end - at_ - 1), true};
    if (doubled) {
      std::string& text = row.unescaped.emplace_back();
      for (size_t i = 0; i < cell.text.size(); ++i) {
        text.push_back(cell.text[i]);
        if (cell.text[i] == quote) ++i;
      }
      cell.text = text;
    }
    at_ = end + 1;
    line_ += lines;
    skip_blanks();
    return cell;
  }
  if (quote == '"') open_quote_ = first_line;
  return std::nullopt;
}

CsvCell CsvRows::next_cell(CsvRow& row) {
  skip_blanks();
  const bool quote = at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'');
  if (quote) {
    if (const auto cell = quoted_cell(row)) return *cell;
  }
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
  size_t end = at_;
  while (end > begin && is_blank(text_[end - 1])) --end;
  return {text_.substr(begin, end - begin), false};
}

bool CsvRows::next(CsvRow& row) {
  row.cells.clear();
  row.unescaped.clear();
  for (skip_blanks(); at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r'); skip_blanks())
    skip_line_end();
  if (at_ >= text_.size()) return false;
  row.line = line_;
  while (true) {
    row.cells.push_back(next_cell(row));
    if (open_quote_) return false;
    if (at_ >= text_.size() || text_[at_] != separator_) break;
    ++at_;
  }
  skip_line_end();
  return true;
}

char find_separator(std::string_view text) {
  char found = ',';
  bool is_found = false;
  for (const char separator : {'\t', ';', ','}) {
    CsvRows rows(text, separator);
    CsvRow row;
    if (!rows.next(row) || row.cells.size() < 2) continue;
    const size_t columns = row.cells.size();
    if (!is_found) found = separator;
    is_found = true;
    if (!rows.next(row) || row.cells.size() == columns || row.cells.size() == columns + 1) return separator;
  }
  return found;
}

std::string_view without_byte_order_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

}  // namespace convsmith::cli
