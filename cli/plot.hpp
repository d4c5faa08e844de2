// Signals as a picture: a self-contained SVG file of a few ten kilobytes, whatever their length. Used by run.
#pragma once

#include <string>
#include <vector>

#include "convsmith/tensor.hpp"

namespace convsmith::cli {

// One sample, (steps, channels), and how it is drawn. Its channels share a color.
struct PlotSignal {
  std::string name;
  const Tensor* rows = nullptr;
  std::string color;   // as CSS writes it
  double width = 1.2;  // of the lines, in pixels
};

// Signals over one axis of values.
struct PlotPanel {
  std::string title;
  std::vector<PlotSignal> signals;  // the last one on top
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
