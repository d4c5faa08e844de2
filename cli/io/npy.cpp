// NumPy's array file format, NEP 1: a magic word, a version, the length of a header, the header (a
// Python dictionary) and the array.
#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>

#include "cli/io/npy_types.hpp"
#include "cli/io/tensor.hpp"
#include "frontend/keras/parse_value.hpp"

static_assert(std::endian::native == std::endian::little, "arrays are read as they lie in the file");

namespace convsmith::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy itself stops at 10,000 unless told otherwise.
constexpr uint64_t kMaxHeader = 64 << 10;
constexpr size_t kMaxAxes = 32;

struct Header {
  ElementType type;
  std::vector<int64_t> shape;
  bool fortran_order = false;
};

tl::unexpected<Error> refuse(const ByteSource& source, const std::string& what) {
  return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", source.name(), what));
}

// Reads a little-endian unsigned number of `count` bytes.
Result<uint64_t> read_number(ByteSource& source, size_t count) {
  std::array<std::byte, 8> bytes{};
  if (Result<void> done = source.read(std::span(bytes).first(count)); !done)
    return tl::unexpected(done.error());
  return std::bit_cast<uint64_t>(bytes);
}

// The header's text, and how many bytes lie before the array.
Result<std::pair<std::string, uint64_t>> read_header_text(ByteSource& source) {
  std::array<char, kMagic.size()> magic{};
  if (source.size() < magic.size()) return refuse(source, "it is no .npy file: it is too short");
  if (Result<void> done = source.read(std::as_writable_bytes(std::span(magic))); !done) {
    return tl::unexpected(done.error());
  }
  if (std::string_view(magic.data(), magic.size()) != kMagic) {
    return refuse(source, "it is no .npy file: it must begin with \\x93NUMPY");
  }
  const Result<uint64_t> version = read_number(source, 2);
  if (!version) return tl::unexpected(version.error());
  const uint64_t major = *version & 0xff;
  if (major < 1 || major > 3 || *version > 0xff) {
    return refuse(
        source, fmt::format("its format version is {}.{}; it must be 1.0, 2.0 or 3.0", major, *version >> 8));
  }
  const size_t length_bytes = major == 1 ? 2 : 4;
  const Result<uint64_t> length = read_number(source, length_bytes);
  if (!length) return tl::unexpected(length.error());
  if (*length > kMaxHeader) {
    return refuse(source, fmt::format("its header has {} bytes; at most {} are read", *length, kMaxHeader));
  }
  const uint64_t offset = magic.size() + 2 + length_bytes + *length;
  if (offset > source.size()) {
    return refuse(source, fmt::format("it ends within its header, at {} of {} bytes", source.size(), offset));
  }
  std::string text(static_cast<size_t>(*length), '\0');
  if (Result<void> done = source.read(std::as_writable_bytes(std::span(text))); !done) {
    return tl::unexpected(done.error());
  }
  return std::pair(std::move(text), offset);
}

// The axes of `value`; an error that says what it is otherwise.
Result<std::vector<int64_t>> shape_of(const ByteSource& source, const Value& value) {
  bool legal = value.kind == Value::Kind::kTuple && value.items.size() <= kMaxAxes;
  std::vector<int64_t> shape;
  for (const Argument& item : value.items) {
    legal = legal && item.value.kind == Value::Kind::kInt && item.value.integer >= 0;
    shape.push_back(item.value.integer);
  }
  if (legal) return shape;
  return refuse(source,
                fmt::format("its shape is {}; it must be a tuple of at most {} sizes from 0 to 2^63-1",
                            describe(value), kMaxAxes));
}

// Python 2 wrote some sizes as 10L.
std::string without_long_integers(std::string text) {
  for (size_t i = text.size(); i-- > 1;)
    if (text[i] == 'L' && text[i - 1] >= '0' && text[i - 1] <= '9') text.erase(i, 1);
  return text;
}

Result<Header> parse_header(const ByteSource& source, const std::string& text) {
  const Result<Statement> parsed = parse_statement(without_long_integers(text));
  if (!parsed) return refuse(source, "its header is no Python dictionary");
  const Value& dict = parsed->value;
  const Value* const descr = dict.find("descr");
  const Value* const order = dict.find("fortran_order");
  const Value* const shape = dict.find("shape");
  if (descr == nullptr || order == nullptr || shape == nullptr || dict.items.size() != 3) {
    return refuse(source,
                  "its header must have the keys 'descr', 'fortran_order' and 'shape', and no others");
  }
  const auto type = parse_element_type(*descr);
  if (!type) return refuse(source, type.error());
  if (order->kind != Value::Kind::kBool) {
    return refuse(source, fmt::format("its fortran_order is {}; it must be True or False", describe(*order)));
  }
  Result<std::vector<int64_t>> axes = shape_of(source, *shape);
  if (!axes) return tl::unexpected(axes.error());
  return Header{*type, std::move(*axes), order->integer != 0};
}

// Whether an array of this shape, with elements of `width` bytes, has exactly `bytes` bytes.
bool fills(const std::vector<int64_t>& shape, size_t width, uint64_t bytes) {
  for (const int64_t axis : shape) {
    if (axis == 0) return bytes == 0;
  }
  uint64_t elements = 1;
  for (const int64_t axis : shape) {
    // elements * axis <= bytes / width, without the product.
    if (elements > bytes / width / static_cast<uint64_t>(axis)) return false;
    elements *= static_cast<uint64_t>(axis);
  }
  return elements * width == bytes;
}

// Block by block, so that a file of float64 needs no second copy in memory.
Result<void> read_converted(ByteSource& source, const ElementType& type, std::span<float> values,
                            Rounding& rounding) {
  constexpr size_t kBlock = size_t{1} << 16;
  std::vector<std::byte> bytes(std::min(values.size(), kBlock) * type.bytes);
  while (!values.empty()) {
    const size_t count = std::min(values.size(), kBlock);
    const auto block = std::span(bytes).first(count * type.bytes);
    if (Result<void> done = source.read(block); !done) return done;
    to_floats(type, block, values.first(count), rounding);
    values = values.subspan(count);
  }
  return {};
}

// From first axis fastest to last axis fastest.
std::vector<float> to_c_order(const std::vector<float>& data, const std::vector<int64_t>& shape) {
  std::vector<float> result(data.size());
  if (data.empty()) return result;  // its other axes may be of any size
  std::vector<int64_t> index(shape.size(), 0);
  std::vector<int64_t> pitch(shape.size(), 1);
  for (size_t axis = 1; axis < shape.size(); ++axis) pitch[axis] = pitch[axis - 1] * shape[axis - 1];
  int64_t from = 0;
  for (float& value : result) {
    value = data[static_cast<size_t>(from)];
    for (size_t axis = shape.size(); axis-- > 0;) {
      from += pitch[axis];
      if (++index[axis] < shape[axis]) break;
      from -= pitch[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
}

}  // namespace

Result<NpyReader> NpyReader::open(std::unique_ptr<ByteSource> source) {
  const auto text = read_header_text(*source);
  if (!text) return tl::unexpected(text.error());
  Result<Header> header = parse_header(*source, text->first);
  if (!header) return tl::unexpected(header.error());
  const uint64_t bytes = source->size() - text->second;
  if (!fills(header->shape, header->type.bytes, bytes)) {
    return refuse(*source, fmt::format("its shape is {}, which does not fit the {} bytes behind the header",
                                       shape_text(header->shape), bytes));
  }
  return NpyReader(std::move(source), header->type, std::move(header->shape), header->fortran_order);
}

Result<Signal> NpyReader::read() {
  uint64_t floats = 1;
  for (const int64_t axis : shape_) floats *= static_cast<uint64_t>(axis);
  const double bytes = static_cast<double>(floats) * sizeof(float) * (fortran_order_ ? 2 : 1);
  if (Result<void> done = check_memory(source_->name(), bytes); !done) return tl::unexpected(done.error());
  Signal signal;
  signal.tensor = {shape_, std::vector<float>(static_cast<size_t>(floats))};
  std::vector<float>& data = signal.tensor.data;
  Rounding rounding;
  const Result<void> done = type_.is_native_float() ? source_->read(std::as_writable_bytes(std::span(data)))
                                                    : read_converted(*source_, type_, data, rounding);
  if (!done) return tl::unexpected(done.error());
  if (auto note = rounding_note(source_->name(), type_name(type_), floats, rounding))
    signal.notes.push_back(std::move(*note));
  if (fortran_order_) data = to_c_order(data, shape_);
  return signal;
}

std::string npy_header(const std::vector<int64_t>& shape) {
  std::string text =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}", shape_text(shape));
  // The array begins at a multiple of 64 bytes; the header ends with a line break.
  constexpr size_t kPrefix = 10;
  text.append(63 - (kPrefix + text.size()) % 64, ' ').push_back('\n');
  std::string header(kMagic);
  header.append("\x01\x00", 2);
  header.push_back(static_cast<char>(text.size() & 0xff));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

}  // namespace convsmith::cli
