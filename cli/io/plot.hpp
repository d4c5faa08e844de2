// Signals as a picture: a self-contained SVG file of a few ten kilobytes, whatever their length. Used by run.
#pragma once

#include <string>
#include <vector>

#include "convsmith/tensor.hpp"

namespace convsmith::cli {

// One sample, (steps, channels), and how it is drawn. Several channels have a color each, and the signals of
// a panel then differ in width and dashes.
struct PlotSignal {
  std::string name;
  const Tensor* rows = nullptr;
  std::string color;   // as CSS writes it; of a single channel
  double width = 1.2;  // of the lines, in pixels
  bool dashed = false;
};

// Signals over one axis of values. What has a single step, as a classifier's answer, is drawn as bars, a bar
// for each channel, or for each few where there are more than bars fit side by side.
struct PlotPanel {
  std::string title;
  std::vector<PlotSignal> signals;         // the last one on top
  std::string bars = "channel";            // what the bars are
  std::vector<std::string> channels = {};  // their names; empty: numbers
};

// Panels one below the other. `rate`: steps per second of the first signal of each panel, 0 if not known;
// then steps are counted instead of seconds.
struct Plot {
  std::string title;
  std::vector<PlotPanel> panels;
  std::vector<double> rates;  // by panel
};

std::string svg_text(const Plot& plot);

}  // namespace convsmith::cli
