#include "cli/io/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "cli/io/html_report.hpp"

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
constexpr int64_t kMaxBars = 256;
// Told apart by eye, also by most who do not see all colors; more channels share out the rainbow.
constexpr const char* kPalette[] = {"#1d4ed8", "#c2410c", "#16a34a", "#9333ea", "#0891b2",
                                    "#ca8a04", "#db2777", "#4d7c0f", "#64748b", "#7c2d12"};
constexpr auto kPaletteSize = static_cast<int64_t>(std::size(kPalette));

std::string channel_color(int64_t channel, int64_t channels) {
  if (channels <= kPaletteSize) return kPalette[channel];
  return fmt::format("hsl({},75%,42%)", 280 * channel / (channels - 1));
}

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

// A single step has nothing that a line could join.
bool has_bars(const PlotPanel& panel) {
  return std::all_of(panel.signals.begin(), panel.signals.end(),
                     [](const PlotSignal& signal) { return signal.rows->shape[0] == 1; });
}

// What a bar that stands for several channels shows: the value farthest from 0, so that no peak is lost, and
// before all others what is no number.
double bar_value(const Tensor& rows, int64_t begin, int64_t end) {
  double most = 0;
  for (int64_t i = begin; i < std::min(end, rows.shape[1]) && !std::isnan(most); ++i) {
    const double value = rows.data[static_cast<size_t>(i)];
    if (std::isnan(value) || std::abs(value) > std::abs(most)) most = value;
  }
  return most;
}

// Values of the panel with a margin; never empty.
Range value_range(const PlotPanel& panel) {
  Range range;
  if (has_bars(panel)) range.include(0);
  for (const PlotSignal& signal : panel.signals)
    for (const float value : signal.rows->data) range.include(value);
  if (range.low > range.high) range = {-1, 1};
  const double middle = (range.low + range.high) / 2;
  const double margin = has_bars(panel) ? 0.6 : 0.54;  // bars carry numbers
  const double half = std::max((range.high - range.low) * margin, std::max(std::abs(middle) * 1e-6, 1e-30));
  return {middle - half, middle + half};
}

class Panel {
 public:
  Panel(const PlotPanel& panel, double rate, int top, int64_t points, std::string& out)
      : panel_(panel), rate_(rate), top_(top), points_(points), range_(value_range(panel)), out_(out) {}

  void draw() {
    values();
    if (has_bars(panel_)) {
      bars();
    } else {
      steps_axis();
      for (const PlotSignal& signal : panel_.signals) lines(signal);
    }
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

  // The frame, and the axis of values.
  void values() {
    add("<rect x='{}' y='{}' width='{}' height='{}' fill='#fff' stroke='#bbb'/>\n", kLeft, top_, kPlotWidth,
        kPanelHeight);
    const double step = nice_step(range_.high - range_.low, 7);
    for (double value = std::ceil(range_.low / step) * step; value <= range_.high; value += step) {
      const double y = y_of(value);
      add("<path d='M{} {:.1f}h{}' stroke='#e6e6e6'/>\n", kLeft, y, kPlotWidth);
      text(kLeft - 8, y + 4, "end", fmt::format("{:.6g}", std::abs(value) < step / 2 ? 0.0 : value));
    }
  }

  void steps_axis() {
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

  // A bar for each channel or for a few neighbours, those of several signals side by side; wide ones with
  // their values.
  void bars() {
    const int64_t channels = panel_.signals.front().rows->shape[1];
    const int64_t each = (channels + kMaxBars - 1) / kMaxBars;
    const int64_t count = (channels + each - 1) / each;
    const double room = kPlotWidth / static_cast<double>(count);
    const double width = 0.7 * room / static_cast<double>(panel_.signals.size());
    constexpr int64_t kMostLabels = 24;
    constexpr double kValueRoom = 44;
    const int64_t every = (count + kMostLabels - 1) / kMostLabels;
    for (int64_t i = 0; i < count; ++i) {
      double x = kLeft + room * (static_cast<double>(i) + 0.15);
      if (i % every == 0)
        text(x + 0.35 * room, top_ + kPanelHeight + 19, "middle", channel_name(i * each, room));
      for (const PlotSignal& signal : panel_.signals) {
        const double value = bar_value(*signal.rows, i * each, (i + 1) * each);
        const double y = y_of(std::isfinite(value) ? value : 0);
        add("<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' fill='{}'/>\n", x,
            std::min(y, y_of(0)), width, std::abs(y - y_of(0)), signal.color);
        if (width >= kValueRoom || !std::isfinite(value))
          text(x + width / 2, std::min(y, y_of(0)) - 4, "middle", fmt::format("{:.3g}", value));
        x += width;
      }
    }
    add("<path d='M{} {:.1f}h{}' stroke='#888'/>\n", kLeft, y_of(0), kPlotWidth);
    const std::string what =
        each == 1 ? panel_.bars
                  : fmt::format("{} (of {}; each bar shows, of {} neighbours, the value farthest from 0)",
                                panel_.bars, channels, each);
    text(kLeft + kPlotWidth / 2.0, top_ + kPanelHeight + 37, "middle", what);
  }

  // As many letters as there is room for, in pixels.
  std::string channel_name(int64_t channel, double room) const {
    const auto i = static_cast<size_t>(channel);
    std::string name = i < panel_.channels.size() ? panel_.channels[i] : std::to_string(channel);
    const auto letters = static_cast<size_t>(std::max(room / 7.5, 3.0));
    if (name.size() <= letters) return name;
    size_t end = letters - 1;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80)
      --end;  // whole letters of UTF-8
    return name.substr(0, end) + "…";
  }

  // From right to left: a sample of the line and its name.
  void legend() {
    text(kLeft, top_ - 10, "start", panel_.title);
    double x = kLeft + kPlotWidth;
    const auto entry = [&](const std::string& words, const std::string& color, double width, bool dashed) {
      text(x, top_ - 10, "end", words);
      x -= 7.2 * static_cast<double>(words.size()) + 6;
      add("<path d='M{:.1f} {}h-22' stroke='{}' stroke-width='{}'{}/>\n", x, top_ - 14, color,
          std::max(width, 3.0), dashed ? " stroke-dasharray='5 3'" : "");
      x -= 40;
    };
    const int64_t channels = panel_.signals.back().rows->shape[1];
    const bool has_channels = channels > 1 && !has_bars(panel_);
    if (has_channels && channels <= kPaletteSize) {
      const double room = (kPlotWidth - 260.0) / static_cast<double>(channels) - 46;
      for (int64_t channel = channels; channel-- > 0;)
        entry(channel_name(channel, room), channel_color(channel, channels), 3, false);
    }
    for (auto signal = panel_.signals.rbegin(); signal != panel_.signals.rend(); ++signal) {
      if (has_channels && channels <= kPaletteSize && panel_.signals.size() == 1) break;
      std::string words = signal->name;
      if (has_channels && channels > kMaxChannels) {
        words += fmt::format(" ({} of {} channels)", kMaxChannels, channels);
      } else if (has_channels && channels > kPaletteSize) {
        words += fmt::format(" ({} channels, red to violet)", channels);
      }
      entry(words, has_channels ? "#222" : signal->color, has_channels ? signal->width : 3,
            has_channels && signal->dashed);
    }
  }

  void lines(const PlotSignal& signal) {
    const int64_t all = signal.rows->shape[1];
    const int64_t channels = std::min(all, kMaxChannels);
    for (int64_t channel = 0; channel < channels; ++channel) {
      add("<g stroke='{}' fill='none' stroke-width='{}' stroke-linecap='round'{}{}>\n",
          all == 1 ? signal.color : channel_color(channel, channels), signal.width,
          signal.dashed ? " stroke-dasharray='6 4'" : "", signal.width > 3 ? " stroke-opacity='0.35'" : "");
      line(signal, channel);
      out_ += "</g>\n";
    }
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
        // A point alone is a dot.
        add("{}{:.1f} {:.1f}{}", pen_down ? "L" : "M", x, y_of(value(step)), pen_down ? "" : "h0");
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
