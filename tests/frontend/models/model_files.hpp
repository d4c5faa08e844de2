// Model files of the test data, and small helpers to make damaged ones.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "frontend/models/load_model.hpp"
#include "tests/support/places.hpp"

namespace convsmith::model_files {

inline std::string path_of(const std::string& name) {
  return places::test_data("models/" + name);
}

inline std::string bytes_of(const std::string& name) {
  std::ifstream file(path_of(name), std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// The folders of nets, sorted.
inline std::vector<std::string> nets() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(path_of(""))) {
    if (entry.is_directory()) out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

inline std::string message(const Result<LoadedModel>& model) {
  EXPECT_FALSE(model.has_value());
  return model ? "" : model.error().message;
}

}  // namespace convsmith::model_files
