// What `run` says when everything has run: text, JSON, the picture. Used by run.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/run_files.hpp"

namespace convsmith::cli {

struct Outcome {
  const RunArguments& arguments;
  Runnable runnable;
  std::vector<std::string> channels;  // of the first input, where its file names them
  std::vector<Tensor> inputs;         // without the batch axis where the file had none
  std::vector<Tensor> outputs;        // the same
  int threads = 1;
  double run_us = 0;
  double rate = 0;                                        // steps a second of the first input; 0: not known
  std::vector<std::pair<Judge, Difference>> differences;  // where --expected was given
  std::optional<Judge> clean;
  std::optional<double> snr_before;  // where the first input has the clean signal's shape
  double snr_after = 0;
  std::vector<std::string> written;   // outputs
  std::vector<std::string> pictures;  // --plot
};

std::string as_text(const Outcome& outcome);
nlohmann::ordered_json to_json(const Outcome& outcome);

// The first sample of the first input and of the outputs, with what they are held against.
std::string plot_outcome(const Outcome& outcome);

}  // namespace convsmith::cli
