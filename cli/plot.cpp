#include "cli/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cli/html_report.hpp"

namespace convsmith::cli {
namespace {

constexpr int kWidth = 960;
constexpr int kLeft = 72;
constexpr int kRight = 20;
constexpr int kTop = 44;
constexpr int kPanelHeight = 240;
constexpr int kPanelGap = 78;
constexpr int kPlotWidth = kWidth - kLeft - kRight;
// What all lines together may have of points: two a column keep the file below 200 kB.
constexpr int64_t kMaxPoints = 14000;
constexpr int64_t kMaxChannels = 64;

struct Range {
  double low = HUGE_VAL;
  double high = -HUGE_VAL;
  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// A step of 1, 2 or 5 times a power of ten that gives about `count` of them.
double nice_step(double range, int count) {
  const double raw = range / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (raw <= factor * power) return factor * power;
  return 10 * power;
}

// Values of the panel with a margin; never empty.
Range value_range(const PlotPanel& panel) {
  Range range;
  for (const PlotSignal& signal : panel.signals)
    for (const float value : signal.rows->data) range.include(value);
  if (range.low > range.high) range = {-1, 1};
  const double middle = (range.low + range.high) / 2;
  const double half = std::max((range.high - range.low) * 0.54, std::max(std::abs(middle) * 1e-6, 1e-30));
  return {middle - half, middle + half};
}

class Panel {
 public:
  Panel(const PlotPanel& panel, double rate, int top, int64_t points, std::string& out)
      : panel_(panel), rate_(rate), top_(top), points_(points), range_(value_range(panel)), out_(out) {}

  void draw() {
    grid();
    for (const PlotSignal& signal : panel_.signals) lines(signal);
    legend();
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  double y_of(double value) const {
    return top_ + kPanelHeight * (range_.high - value) / (range_.high - range_.low);
  }

  void text(double x, double y, const char* anchor, const std::string& words) {
    add("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>\n", x, y, anchor, escape_markup(words));
  }

  void grid() {
    add("<rect x='{}' y='{}' width='{}' height='{}' fill='#fff' stroke='#bbb'/>\n", kLeft, top_, kPlotWidth,
        kPanelHeight);
    const double step = nice_step(range_.high - range_.low, 7);
    for (double value = std::ceil(range_.low / step) * step; value <= range_.high; value += step) {
      const double y = y_of(value);
      add("<path d='M{} {:.1f}h{}' stroke='#e6e6e6'/>\n", kLeft, y, kPlotWidth);
      text(kLeft - 8, y + 4, "end", fmt::format("{:.6g}", std::abs(value) < step / 2 ? 0.0 : value));
    }
    const auto steps = static_cast<double>(panel_.signals.front().rows->shape[0]);
    const double length = std::max(rate_ > 0 ? steps / rate_ : steps, 1e-9);
    const double tick = nice_step(length, 8);
    const int bottom = top_ + kPanelHeight;
    for (double at = 0; at <= length * (1 + 1e-9); at += tick) {
      const double x = kLeft + kPlotWidth * at / length;
      add("<path d='M{:.1f} {}v5' stroke='#888'/>\n", x, bottom);
      text(x, bottom + 19, "middle", fmt::format("{:.6g}", at));
    }
    text(kLeft + kPlotWidth / 2.0, bottom + 37, "middle",
         rate_ > 0 ? fmt::format("seconds ({} steps)", static_cast<int64_t>(steps)) : "steps");
  }

  void legend() {
    text(kLeft, top_ - 10, "start", panel_.title);
    double x = kLeft + kPlotWidth;
    for (auto signal = panel_.signals.rbegin(); signal != panel_.signals.rend(); ++signal) {
      const int64_t channels = signal->rows->shape[1];
      std::string words = signal->name;
      if (channels > kMaxChannels) words += fmt::format(" ({} of {} channels)", kMaxChannels, channels);
      if (channels > 1 && channels <= kMaxChannels) words += fmt::format(" ({} channels)", channels);
      text(x, top_ - 10, "end", words);
      x -= 7.2 * static_cast<double>(words.size()) + 6;
      add("<path d='M{:.1f} {}h-22' stroke='{}' stroke-width='3'/>\n", x, top_ - 14, signal->color);
      x -= 40;
    }
  }

  void lines(const PlotSignal& signal) {
    const int64_t channels = signal.rows->shape[1];
    add("<g fill='none' stroke='{}' stroke-width='{}' stroke-opacity='{}' stroke-linejoin='round'>\n",
        signal.color, signal.width, channels > 4 ? 0.45 : 1.0);
    for (int64_t channel = 0; channel < std::min(channels, kMaxChannels); ++channel) line(signal, channel);
    out_ += "</g>\n";
  }

  // Each column of pixels gets the smallest and the largest of its values, in the order in which they stand.
  void line(const PlotSignal& signal, int64_t channel) {
    const Tensor& rows = *signal.rows;
    const int64_t steps = rows.shape[0];
    const int64_t columns = std::min<int64_t>({steps, points_, kPlotWidth});
    bool pen_down = false;
    out_ += "<path d='";
    for (int64_t column = 0; column < columns; ++column) {
      int64_t low = -1;
      int64_t high = -1;
      const auto value = [&](int64_t step) {
        return static_cast<double>(rows.data[static_cast<size_t>(step * rows.shape[1] + channel)]);
      };
      for (int64_t step = column * steps / columns; step < (column + 1) * steps / columns; ++step) {
        if (!std::isfinite(value(step))) continue;
        if (low < 0 || value(step) < value(low)) low = step;
        if (high < 0 || value(step) > value(high)) high = step;
      }
      if (low < 0) pen_down = false;
      if (low < 0) continue;
      for (const int64_t step : {std::min(low, high), std::max(low, high)}) {
        const double x = kLeft + kPlotWidth * (static_cast<double>(step) + 0.5) / static_cast<double>(steps);
        add("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y_of(value(step)));
        pen_down = true;
        if (low == high) break;
      }
    }
    out_ += "'/>\n";
  }

  const PlotPanel& panel_;
  double rate_;
  int top_;
  int64_t points_;  // of each line: columns
  Range range_;
  std::string& out_;
};

}  // namespace

std::string svg_text(const Plot& plot) {
  int64_t lines = 0;
  for (const PlotPanel& panel : plot.panels)
    for (const PlotSignal& signal : panel.signals) lines += std::min(signal.rows->shape[1], kMaxChannels);
  const int64_t points = std::max<int64_t>(kMaxPoints / 2 / std::max<int64_t>(lines, 1), 16);
  const int height = kTop + static_cast<int>(plot.panels.size()) * (kPanelHeight + kPanelGap);
  std::string out = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' viewBox='0 0 {} {}' "
      "font-family='sans-serif' font-size='13' fill='#222'>\n<rect width='100%' height='100%' "
      "fill='#fafafa'/>\n"
      "<text x='{}' y='26' font-size='16' font-weight='bold'>{}</text>\n",
      kWidth, height, kWidth, height, kLeft, escape_markup(plot.title));
  int top = kTop + 28;
  for (size_t i = 0; i < plot.panels.size(); ++i) {
    Panel(plot.panels[i], plot.rates[i], top, points, out).draw();
    top += kPanelHeight + kPanelGap;
  }
  return out + "</svg>\n";
}

}  // namespace convsmith::cli
