#include "cli/io/html_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

namespace convsmith::cli {
namespace {

class Svg {
 public:
  Svg(int width, int height) {
    add("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {}' width='{}' font-family='sans-serif' "
        "font-size='12' fill='#222'>\n",
        width, height, width);
    // Words stay readable on top of lines.
    add("<style>.halo {{ paint-order: stroke; stroke: #fff; stroke-width: 3px; }}</style>\n");
  }
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }
  void words(double x, double y, const char* anchor, std::string_view text, const char* more = "") {
    add("<text x='{:.1f}' y='{:.1f}' text-anchor='{}' {}>{}</text>\n", x, y, anchor, more,
        escape_markup(text));
  }
  std::string take() {
    text_ += "</svg>\n";
    return std::move(text_);
  }

 private:
  std::string text_;
};

// A logarithmic axis over whole steps of 1, 2 and 5 times a power of ten.
class LogAxis {
 public:
  LogAxis(double low, double high, double from, double to)
      : low_(std::log10(low)), high_(std::log10(high)), from_(from), to_(to) {}
  double at(double value) const {
    return from_ + (std::log10(value) - low_) / (high_ - low_) * (to_ - from_);
  }
  std::vector<double> ticks() const {
    std::vector<double> result;
    for (double power = std::floor(low_); power <= high_; ++power) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double tick = factor * std::pow(10.0, power);
        if (std::log10(tick) >= low_ - 1e-9 && std::log10(tick) <= high_ + 1e-9) result.push_back(tick);
      }
    }
    return result;
  }
  double low() const { return std::pow(10.0, low_); }
  double high() const { return std::pow(10.0, high_); }

 private:
  double low_;
  double high_;
  double from_;
  double to_;
};

constexpr int kWidth = 1080;
constexpr int kHeight = 760;
constexpr int kLeft = 60;
constexpr int kRight = 20;
constexpr int kTop = 50;
constexpr int kBottom = 50;

bool is_drawn(const Dot& dot) {
  return std::isfinite(dot.x) && std::isfinite(dot.y) && dot.x > 0 && dot.y > 0;
}

// The range of `values` above 0, at least a decade, with room for labels.
std::pair<double, double> log_range(const std::vector<double>& values, double room_above) {
  double low = HUGE_VAL;
  double high = 0;
  for (const double value : values) {
    if (!(value > 0) || !std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (high == 0) return {0.1, 10};
  return {low / 1.5, std::max(high * room_above, low * 10)};
}

void draw_grid(Svg& svg, const LogAxis& x, const LogAxis& y) {
  svg.add("<rect x='{}' y='{}' width='{}' height='{}' fill='#fff' stroke='#bbb'/>\n", kLeft, kTop,
          kWidth - kLeft - kRight, kHeight - kTop - kBottom);
  for (const double tick : x.ticks()) {
    svg.add("<path d='M{:.1f} {}V{}' stroke='#eee'/>\n", x.at(tick), kTop, kHeight - kBottom);
    svg.words(x.at(tick), kHeight - kBottom + 16, "middle", fmt::format("{:g}", tick));
  }
  for (const double tick : y.ticks()) {
    svg.add("<path d='M{} {:.1f}H{}' stroke='#eee'/>\n", kLeft, y.at(tick), kWidth - kRight);
    svg.words(kLeft - 6, y.at(tick) + 4, "end", fmt::format("{:g}", tick));
  }
  svg.words((kLeft + kWidth - kRight) / 2.0, kHeight - 12, "middle", "operations per byte");
  svg.add("<text x='14' y='{}' text-anchor='middle' transform='rotate(-90 14 {})'>GF/s</text>\n", kHeight / 2,
          kHeight / 2);
}

// The part of y = bandwidth * x within the axes, up to the peak. Names stand higher from roof to roof.
void draw_roof(Svg& svg, const LogAxis& x, const LogAxis& y, const Roof& roof, double peak, size_t index) {
  const double begin = std::max(x.low(), y.low() / roof.bandwidth);
  const double end = std::min(x.high(), peak / roof.bandwidth);
  if (!(begin < end)) return;
  svg.add("<path d='M{:.1f} {:.1f}L{:.1f} {:.1f}' stroke='#999' stroke-dasharray='5 3'/>\n", x.at(begin),
          y.at(begin * roof.bandwidth), x.at(end), y.at(end * roof.bandwidth));
  const double named = begin * std::pow(end / begin, 0.04 + 0.07 * static_cast<double>(index));
  svg.words(x.at(named) + 8, y.at(named * roof.bandwidth) + 4, "start", roof.label,
            "class='halo' fill='#666'");
}

// Names beside their dots, moved up or down until they meet no dot and no other name.
void draw_dots(Svg& svg, const LogAxis& x, const LogAxis& y, const std::vector<Dot>& dots) {
  constexpr double kLine = 10;
  constexpr double kLetter = 4.9;
  struct Box {
    double left, right, base;
  };
  std::vector<Box> taken;
  for (const Dot& dot : dots)
    if (is_drawn(dot)) taken.push_back({x.at(dot.x) - 5, x.at(dot.x) + 5, y.at(dot.y) + 3});
  for (const Dot& dot : dots) {
    if (!is_drawn(dot)) continue;
    const double cx = x.at(dot.x);
    const double cy = y.at(dot.y);
    const double width = kLetter * static_cast<double>(dot.label.size());
    const bool to_left = cx + 10 + width > kWidth - kRight;
    Box box{to_left ? cx - 7 - width : cx + 7, to_left ? cx - 7 : cx + 7 + width, cy + 3};
    const auto is_free = [&](double base) {
      return std::none_of(taken.begin(), taken.end(), [&](const Box& other) {
        return box.left < other.right && other.left < box.right && std::abs(base - other.base) < kLine;
      });
    };
    for (int i = 1; i < 60 && !is_free(box.base); ++i)
      box.base = cy + 3 + (i % 2 == 0 ? 1 : -1) * (i + 1) / 2 * kLine / 2;
    taken.push_back(box);
    svg.add("<g><title>{}</title>", escape_markup(dot.hover));
    if (std::abs(box.base - 3 - cy) > kLine)
      svg.add("<path d='M{:.1f} {:.1f}L{:.1f} {:.1f}' stroke='#ccc'/>", cx, cy,
              to_left ? box.right : box.left, box.base - 3);
    svg.add("<circle cx='{:.1f}' cy='{:.1f}' r='4' fill='{}'/>", cx, cy, escape_markup(dot.color));
    svg.words(box.left, box.base, "start", dot.label, "class='halo' font-size='9'");
    svg.add("</g>\n");
  }
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += (c >= 0 && c < ' ') || c == 0x7f ? ' ' : c;
    }
  }
  return result;
}

std::string series_color(size_t i) {
  constexpr std::array kColors = {"#1f6fb4", "#e0702a", "#2f9e44", "#c92a2a", "#7b4fb5",
                                  "#8c6239", "#d6569c", "#5f6b76", "#a8a100", "#1299a6"};
  return kColors[i % kColors.size()];
}

std::string svg_bars(const BarChart& chart) {
  constexpr int kRow = 22;
  constexpr int kWordsRoom = 190;
  double largest = chart.mark.value_or(0);
  size_t longest = 0;
  for (const Bar& bar : chart.bars) {
    if (std::isfinite(bar.value)) largest = std::max(largest, bar.value);
    longest = std::max(longest, bar.label.size());
  }
  const double left = std::min(20 + 7 * static_cast<double>(longest), kWidth / 3.0);
  const double scale = largest > 0 ? (kWidth - left - kWordsRoom) / largest : 0;
  const int height = 40 + kRow * static_cast<int>(chart.bars.size()) + 8;
  Svg svg(kWidth, height);
  svg.words(0, 20, "start", chart.title, "font-size='14' font-weight='bold'");
  if (chart.mark)
    svg.add("<path d='M{:.1f} 30V{}' stroke='#444' stroke-dasharray='4 3'/>\n", left + *chart.mark * scale,
            height - 8);
  double y = 34;
  for (const Bar& bar : chart.bars) {
    const double length = std::isfinite(bar.value) ? std::max(bar.value, 0.0) * scale : 0;
    svg.add("<g><title>{}</title>", escape_markup(bar.hover));
    svg.words(left - 8, y + 13, "end", bar.label);
    svg.add("<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{}' rx='2' fill='{}'/>", left, y, length,
            kRow - 6, escape_markup(bar.color));
    svg.words(left + length + 6, y + 13, "start", bar.words, "class='halo'");
    svg.add("</g>\n");
    y += kRow;
  }
  return svg.take();
}

std::string svg_roofline(const Roofline& roofline) {
  std::vector<double> xs;
  std::vector<double> ys = {roofline.peak};
  for (const Dot& dot : roofline.dots) {
    if (!is_drawn(dot)) continue;
    xs.push_back(dot.x);
    ys.push_back(dot.y);
  }
  const auto [x_low, x_high] = log_range(xs, 3);
  const auto [y_low, y_high] = log_range(ys, 1.5);
  const LogAxis x(x_low, x_high, kLeft, kWidth - kRight);
  const LogAxis y(y_low, y_high, kHeight - kBottom, kTop);
  Svg svg(kWidth, kHeight);
  svg.words(0, 18, "start", roofline.title, "font-size='14' font-weight='bold'");
  double at = kLeft;
  for (const auto& [name, color] : roofline.legend) {
    svg.add("<circle cx='{:.1f}' cy='36' r='5' fill='{}'/>", at + 5, escape_markup(color));
    svg.words(at + 14, 40, "start", name);
    at += 30 + 6.6 * static_cast<double>(name.size());
  }
  draw_grid(svg, x, y);
  for (size_t i = 0; i < roofline.roofs.size(); ++i)
    if (roofline.roofs[i].bandwidth > 0) draw_roof(svg, x, y, roofline.roofs[i], roofline.peak, i);
  if (roofline.peak > 0) {
    svg.add("<path d='M{} {:.1f}H{}' stroke='#444'/>\n", kLeft, y.at(roofline.peak), kWidth - kRight);
    svg.words(kLeft + 6, y.at(roofline.peak) - 6, "start", fmt::format("FMA peak {:.0f} GF/s", roofline.peak),
              "fill='#444' font-size='11'");
  }
  draw_dots(svg, x, y, roofline.dots);
  return svg.take();
}

std::string html_heading(std::string_view text) {
  return fmt::format("<h2>{}</h2>\n", escape_markup(text));
}

std::string html_paragraph(std::string_view text) {
  return fmt::format("<p>{}</p>\n", escape_markup(text));
}

std::string html_table(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string text = "<div class='wide'><table>\n<tr>";
  for (const std::string& cell : header) text += fmt::format("<th>{}</th>", escape_markup(cell));
  text += "</tr>\n";
  for (const auto& row : rows) {
    text += "<tr>";
    for (const std::string& cell : row) text += fmt::format("<td>{}</td>", escape_markup(cell));
    text += "</tr>\n";
  }
  return text + "</table></div>\n";
}

std::string html_page(std::string_view title, const std::vector<std::string>& parts) {
  std::string text = fmt::format(
      "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>\n<title>{0}</title>\n<style>\n"
      "body {{ font: 15px/1.45 sans-serif; color: #222; background: #fafafa; max-width: 1120px; "
      "margin: 2em auto; padding: 0 1em; }}\n"
      "h1 {{ font-size: 1.4em; }} h2 {{ font-size: 1.15em; margin-top: 2em; }}\n"
      "svg {{ max-width: 100%; height: auto; display: block; margin: 1em 0; }}\n"
      "svg g:hover circle, svg g:hover rect {{ stroke: #000; }}\n"
      ".wide {{ overflow-x: auto; }}\n"
      "table {{ border-collapse: collapse; font-size: 12px; background: #fff; }}\n"
      "th, td {{ padding: 3px 8px; border-bottom: 1px solid #e4e4e4; text-align: right; "
      "white-space: nowrap; }}\n"
      "th:first-child, td:first-child {{ text-align: left; }}\n"
      "tr:hover td {{ background: #f0f4fa; }}\n"
      "</style></head>\n<body>\n<h1>{0}</h1>\n",
      escape_markup(title));
  for (const std::string& part : parts) text += part;
  return text + "</body></html>\n";
}

}  // namespace convsmith::cli
