#include "cli/tensor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <limits>

#include "frontend/weight_shapes.hpp"

namespace convsmith::cli {
namespace {

Result<void> write_npy(int descriptor, const std::string& path, const Tensor& tensor) {
  const std::string header = npy_header(tensor.shape);
  if (Result<void> done = write_bytes(descriptor, std::as_bytes(std::span(header)), path); !done) return done;
  return write_bytes(descriptor, std::as_bytes(std::span(tensor.data)), path);
}

// The file `name` in a folder; null where there is none.
Result<std::unique_ptr<ByteSource>> open_member(const std::string& folder, const char* name) {
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return nullptr;
  return open_file(path.string());
}

Result<NpzMembers> open_folder(const std::string& path) {
  Result<std::unique_ptr<ByteSource>> kernel = open_member(path, "kernel.npy");
  if (!kernel) return tl::unexpected(kernel.error());
  Result<std::unique_ptr<ByteSource>> bias = open_member(path, "bias.npy");
  if (!bias) return tl::unexpected(bias.error());
  return NpzMembers{std::move(*kernel), std::move(*bias)};
}

Result<NpzMembers> open_weights(const std::string& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return open_folder(path);
  if (suffix_of(path) == ".npz") return open_npz(path);
  return make_error(
      ErrorCode::kInvalidData,
      fmt::format("--weights is {}; it must be a .npz file or a folder with kernel.npy and bias.npy.", path));
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

Result<FileFormat> format_of(const std::string& path, std::string_view option) {
  const std::string suffix = suffix_of(path);
  if (suffix == ".npy") return FileFormat::kNpy;
  if (suffix == ".csv") return FileFormat::kCsv;
  if (suffix == ".wav") return FileFormat::kWav;
  return make_error(ErrorCode::kInvalidData,
                    fmt::format("{} is {}; its name must end with .npy, .csv or .wav.", option, path));
}

Result<Signal> read_signal(const std::string& path, FileFormat format) {
  if (format == FileFormat::kWav) return read_wav(path);
  if (format == FileFormat::kCsv) {
    const Result<std::string> text = read_text(path, std::numeric_limits<uint64_t>::max());
    if (!text) return tl::unexpected(text.error());
    return parse_csv(*text, path);
  }
  Result<std::unique_ptr<ByteSource>> source = open_file(path);
  if (!source) return tl::unexpected(source.error());
  Result<NpyReader> reader = NpyReader::open(std::move(*source));
  if (!reader) return tl::unexpected(reader.error());
  Result<Tensor> tensor = reader->read();
  if (!tensor) return tl::unexpected(tensor.error());
  return Signal{std::move(*tensor), 0, {}};
}

Result<void> write_signal(const std::string& path, FileFormat format, const Tensor& tensor, int sample_rate) {
  return write_file(path, [&](int descriptor) -> Result<void> {
    switch (format) {
      case FileFormat::kNpy:
        return write_npy(descriptor, path, tensor);
      case FileFormat::kCsv: {
        const std::string text = csv_text(tensor);
        return write_bytes(descriptor, std::as_bytes(std::span(text)), path);
      }
      case FileFormat::kWav:
        return write_wav(descriptor, path, tensor, sample_rate);
    }
    return {};
  });
}

Result<LayerWeights> read_weights(const std::string& path, const Problem& problem) {
  const auto in_file = [&](const Error& error) {
    return make_error(error.code, fmt::format("--weights {}: {}", path, error.message));
  };
  Result<NpzMembers> members = open_weights(path);
  if (!members) return tl::unexpected(members.error());
  if (members->kernel == nullptr) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("--weights {}: kernel.npy is missing; it must have the shape ({}, {}, {}).",
                                  path, problem.taps, problem.group_channels(), problem.filters));
  }
  Result<NpyReader> kernel = NpyReader::open(std::move(members->kernel));
  if (!kernel) return tl::unexpected(kernel.error());
  std::optional<NpyReader> bias;
  if (members->bias != nullptr) {
    Result<NpyReader> reader = NpyReader::open(std::move(members->bias));
    if (!reader) return tl::unexpected(reader.error());
    bias = std::move(*reader);
  }
  std::optional<std::span<const int64_t>> bias_shape;
  if (bias) bias_shape = bias->shape();
  if (Result<void> done = check_weights(problem, kernel->shape(), bias_shape); !done)
    return in_file(done.error());
  LayerWeights weights;
  Result<Tensor> array = kernel->read();
  if (!array) return tl::unexpected(array.error());
  weights.kernel = std::move(array->data);
  if (bias) {
    array = bias->read();
    if (!array) return tl::unexpected(array.error());
    weights.bias = std::move(array->data);
  }
  return weights;
}

}  // namespace convsmith::cli
