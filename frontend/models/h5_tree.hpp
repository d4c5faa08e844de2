// An HDF5 file as a tree in memory: groups, attributes that are text, and datasets of floats.
//
// The HDF5 library trusts what it reads: damaged files make it overrun its buffers, loop, or allocate without
// bounds. So another program reads the file (h5_helper.hpp) under limits of memory and time and sends back
// what it found; whatever happens to it is an error here. This process has no HDF5 library, hence no global
// state of it, and its lack of thread safety does not matter.
//
// What the tree does not show is what could reach outside the file or give more than its size: links other
// than hard ones, external and virtual datasets, objects that are linked twice. They are kRefused nodes with
// the reason, an error only for who asks for them. Optimizer state is left out.
// Called by weights.cpp and load_model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith::models {

struct H5Node {
  enum class Kind { kGroup, kDataset, kRefused };
  Kind kind = Kind::kGroup;
  std::map<std::string, std::vector<std::string>, std::less<>> attributes;
  std::map<std::string, H5Node, std::less<>> children;
  Tensor tensor;
  std::string stored_as;  // of a dataset: "float32", or what it was converted from
  std::string reason;     // of a refused node: "is a soft link"

  const H5Node* child(std::string_view name) const;
  // Walks down a path of names; empty ones and "." stay where they are.
  const H5Node* find(std::string_view path) const;
  // The strings of an attribute, joined where Keras has split them (layer_names0, layer_names1, ...); empty
  // if there is none.
  std::optional<std::vector<std::string>> strings(std::string_view name) const;
};

// `name` is what errors call the file.
Result<H5Node> read_h5(std::string_view bytes, const std::string& name);

}  // namespace convsmith::models
