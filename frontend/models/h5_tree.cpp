#include "frontend/models/h5_tree.hpp"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "frontend/keras/value.hpp"
#include "frontend/models/h5_helper.hpp"
#include "frontend/models/h5_records.hpp"

namespace convsmith::models {
namespace {

// Reads records. Whatever is cut short or senseless makes ok() false for good.
class Reader {
 public:
  explicit Reader(std::string_view data) : data_(data) {}
  bool ok() const { return ok_; }
  bool at_end() const { return data_.empty(); }
  H5Record kind() {
    const std::string_view byte = take(1);
    return byte.empty() ? H5Record::kFailed : static_cast<H5Record>(byte.front());
  }
  uint64_t number() {
    uint64_t value = 0;
    if (const std::string_view bytes = take(sizeof value); !bytes.empty())
      std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(number())); }
  std::string_view take(uint64_t size) {
    if (size > data_.size()) {
      ok_ = false;
      data_ = {};
      return {};
    }
    const std::string_view out = data_.substr(0, size);
    data_.remove_prefix(size);
    return out;
  }

 private:
  std::string_view data_;
  bool ok_ = true;
};

Tensor read_tensor(Reader& in) {
  Tensor out;
  const uint64_t rank = in.number();
  uint64_t floats = 1;
  for (uint64_t i = 0; i < rank && in.ok(); ++i) {
    const uint64_t size = in.number();
    if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(floats, size, &floats)) {
      floats = std::numeric_limits<uint64_t>::max() / sizeof(float);
    }
    out.shape.push_back(static_cast<int64_t>(size));
  }
  if (floats > std::numeric_limits<uint64_t>::max() / sizeof(float)) floats = 0;
  const std::string_view bytes = in.take(floats * sizeof(float));
  out.data.resize(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(out.data.data(), bytes.data(), bytes.size());
  return out;
}

// The records behind a kGroup and its name, up to its kEnd.
bool read_group(Reader& in, H5Node& group, int depth) {
  while (in.ok()) {
    const H5Record kind = in.kind();
    if (kind == H5Record::kEnd) return in.ok();
    if (kind > H5Record::kRefused || depth > kMaxH5Depth + 1) return false;
    const std::string name = in.text();
    if (kind == H5Record::kAttribute) {
      std::vector<std::string>& texts = group.attributes[name];
      for (uint64_t left = in.number(); left > 0 && in.ok(); --left) texts.push_back(in.text());
      continue;
    }
    H5Node& node = group.children[name];
    if (kind == H5Record::kGroup) {
      if (!read_group(in, node, depth + 1)) return false;
    } else if (kind == H5Record::kDataset) {
      node.kind = H5Node::Kind::kDataset;
      node.stored_as = in.text();
      node.tensor = read_tensor(in);
    } else {
      node.kind = H5Node::Kind::kRefused;
      node.reason = in.text();
    }
  }
  return false;
}

}  // namespace

const H5Node* H5Node::child(std::string_view name) const {
  const auto found = children.find(name);
  return found == children.end() ? nullptr : &found->second;
}

const H5Node* H5Node::find(std::string_view path) const {
  const H5Node* node = this;
  while (node != nullptr && !path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (!name.empty() && name != ".") node = node->child(name);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return node;
}

std::optional<std::vector<std::string>> H5Node::strings(std::string_view name) const {
  if (const auto whole = attributes.find(name); whole != attributes.end()) return whole->second;
  std::optional<std::vector<std::string>> out;
  for (int i = 0;; ++i) {
    const auto part = attributes.find(fmt::format("{}{}", name, i));
    if (part == attributes.end()) return out;
    if (!out) out.emplace();
    out->insert(out->end(), part->second.begin(), part->second.end());
  }
}

Result<H5Node> read_h5(std::string_view bytes, const std::string& name) {
  const Result<std::string> records = ask_h5_helper(bytes);
  if (!records) return tl::unexpected(records.error());
  Reader in(*records);
  H5Node root;
  const H5Record first = in.kind();
  if (first == H5Record::kGroup) in.text();
  if (first != H5Record::kGroup || !read_group(in, root, 0) || !in.at_end()) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The HDF5 file {} is damaged: its structure can't be read.", quote(name)));
  }
  return root;
}

}  // namespace convsmith::models
