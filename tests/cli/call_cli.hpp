// Calls the built binary as a user does, and makes files for it.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/io/tensor.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/places.hpp"

namespace convsmith::cli_test {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

inline std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// `environment` stands before the command, as in "A=1".
inline Outcome call(const std::vector<std::string>& words, const std::string& environment = "") {
  const TemporaryFolder folder;
  std::string command = environment + " " + quoted(places::program());
  for (const std::string& word : words) command += " " + quoted(word);
  command += " >" + quoted(folder / "out") + " 2>" + quoted(folder / "err") + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, TemporaryFolder::read(folder / "out"),
          TemporaryFolder::read(folder / "err")};
}

// A tensor of small integers, so that sums are exact, as a file.
inline std::string input_file(const TemporaryFolder& folder, const std::string& name,
                              std::vector<int64_t> shape) {
  size_t floats = 1;
  for (const int64_t axis : shape) floats *= static_cast<size_t>(axis);
  Tensor tensor{std::move(shape), std::vector<float>(floats)};
  for (size_t i = 0; i < floats; ++i) tensor.data[i] = static_cast<float>(i * 7 % 11) - 5;
  EXPECT_TRUE(cli::write_signal(folder / name, cli::FileFormat::kNpy, tensor, 0));
  return folder / name;
}

inline Tensor read_npy(const std::string& path) {
  const auto signal = cli::read_signal(path, cli::FileFormat::kNpy);
  EXPECT_TRUE(signal) << signal.error().message;
  return signal ? signal->tensor : Tensor{};
}

// A model's JSON: inputs zz and aa, outputs sub (aa - zz) and pos (relu of aa).
inline std::string model_of_two_inputs(int channels) {
  std::string text = R"({"class_name": "Functional", "config": {"name": "two", "layers": [
  {"class_name": "InputLayer", "name": "zz", "inbound_nodes": [],
   "config": {"batch_input_shape": [null, null, CHANNELS], "name": "zz"}},
  {"class_name": "InputLayer", "name": "aa", "inbound_nodes": [],
   "config": {"batch_input_shape": [null, null, CHANNELS], "name": "aa"}},
  {"class_name": "Subtract", "name": "sub", "config": {"name": "sub"},
   "inbound_nodes": [[["aa", 0, 0, {}], ["zz", 0, 0, {}]]]},
  {"class_name": "Activation", "name": "pos", "config": {"name": "pos", "activation": "relu"},
   "inbound_nodes": [[["aa", 0, 0, {}]]]}],
  "input_layers": [["aa", 0, 0], ["zz", 0, 0]], "output_layers": [["sub", 0, 0], ["pos", 0, 0]]}})";
  for (const std::string word = "CHANNELS"; text.find(word) != std::string::npos;)
    text.replace(text.find(word), word.size(), std::to_string(channels));
  return text;
}

}  // namespace convsmith::cli_test
