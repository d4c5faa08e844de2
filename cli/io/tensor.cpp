#include "cli/io/tensor.hpp"
#include "runtime/host/verbose.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <ranges>

namespace convsmith::cli {
namespace {

Result<void> write_npy(int descriptor, const std::string& path, const Tensor& tensor) {
  const std::string header = npy_header(tensor.shape);
  if (Result<void> done = write_bytes(descriptor, std::as_bytes(std::span(header)), path); !done) return done;
  return write_bytes(descriptor, std::as_bytes(std::span(tensor.data)), path);
}

// What begins with these bytes; text where nothing else does.
Result<FileFormat> format_by_content(const ByteSource& source) {
  const std::string start = source.start();
  const auto refuse = [&](const char* what) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{} {}; it must be a .npy, .csv or .wav file.", source.name(), what));
  };
  if (start.empty()) return refuse("is empty");
  if (start.starts_with("\x93NUMPY")) return FileFormat::kNpy;
  for (const char* magic : {"RIFF", "RIFX", "RF64"})
    if (start.starts_with(magic)) return FileFormat::kWav;
  if (start.starts_with("PK\3\4")) return refuse("begins as a zip archive does");
  if (start.starts_with("\x89HDF")) return refuse("begins as an HDF5 file does");
  return FileFormat::kCsv;
}

// The file `name` in a folder; null where there is none.
Result<std::unique_ptr<ByteSource>> open_member(const std::string& folder, const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return nullptr;
  return open_file(path.string());
}

using Names = std::vector<std::vector<std::string>>;

// By weight: what its file may be called. The generations of Keras disagree on one name.
Names names_of(const std::vector<WeightShape>& shapes) {
  Names names;
  for (const WeightShape& weight : shapes) {
    names.push_back({weight.name});
    const bool alone = shapes.size() == 1 || shapes[1].name == "bias";
    if (weight.name == "kernel") names.back().emplace_back("depthwise_kernel");
    if (weight.name == "depthwise_kernel" && alone) names.back().emplace_back("kernel");
    names.back().push_back(fmt::format("arr_{}", names.size() - 1));
  }
  return names;
}

Result<Members> open_folder(const std::string& path, const Names& names) {
  Members members;
  for (const std::vector<std::string>& aliases : names) {
    members.emplace_back();
    for (const std::string& name : aliases) {
      if (members.back() != nullptr) continue;
      Result<std::unique_ptr<ByteSource>> source = open_member(path, name + ".npy");
      if (!source) return tl::unexpected(source.error());
      members.back() = std::move(*source);
    }
  }
  return members;
}

Result<Members> open_weights(const std::string& path, const Names& names) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return open_folder(path, names);
  if (suffix_of(path) == ".npz") return open_npz(path, names);
  return make_error(
      ErrorCode::kInvalidData,
      fmt::format(
          "--weights is {}; of a layer it must be a .npz file or a folder with {}.npy.", path,
          fmt::join(names | std::views::transform([](const auto& n) { return n.front(); }), ".npy, ")));
}

// Where "a.csv:x,y" has its colon; npos without one. A file that really has that name wins. `any_name`: what
// is before the colon need not end with .csv.
size_t find_columns(const std::string& typed, bool any_name) {
  std::error_code code;
  if (std::filesystem::exists(typed, code)) return std::string::npos;
  if (typed.starts_with("-:")) return 1;
  for (size_t at = typed.rfind(':'); at != std::string::npos && at > 0; at = typed.rfind(':', at - 1)) {
    const std::string path = typed.substr(0, at);
    const std::string suffix = suffix_of(path);
    if (suffix == ".csv" || suffix == ".tsv") return at;
    if (std::filesystem::exists(path, code) && (any_name || is_stream(path))) return at;
  }
  return std::string::npos;
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

Result<FileFormat> format_of(const std::string& path, std::string_view option) {
  const std::string suffix = suffix_of(path);
  if (suffix == ".npy") return FileFormat::kNpy;
  if (suffix == ".csv" || suffix == ".tsv") return FileFormat::kCsv;
  if (suffix == ".wav") return FileFormat::kWav;
  if (is_stream(path)) return FileFormat::kAny;
  const bool has_format = option == "--input" || option == "--output";
  return make_error(ErrorCode::kInvalidData,
                    fmt::format("{} is {}; its name must end with .npy, .csv or .wav{}.", option, path,
                                has_format ? fmt::format(", or {}-format must say what it is", option) : ""));
}

std::vector<std::string> split_columns(std::string_view text) {
  std::vector<std::string> columns(1);
  char quote = 0;
  for (const char c : text) {
    std::string& column = columns.back();
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && column.empty() && (c == '"' || c == '\'')) {
      quote = c;
    } else if (quote == 0 && c == ',') {
      columns.emplace_back();
    } else {
      column.push_back(c);
    }
  }
  return columns;
}

Result<SignalFile> parse_signal_file(const std::string& typed, std::string_view option, FileFormat format) {
  const size_t colon = find_columns(typed, format == FileFormat::kCsv);
  SignalFile file{.path = typed.substr(0, colon), .format = format, .columns = {}};
  if (format == FileFormat::kAny) {
    const Result<FileFormat> by_name = format_of(file.path, option);
    if (!by_name) return tl::unexpected(by_name.error());
    file.format = *by_name;
  }
  if (colon != std::string::npos) file.columns = split_columns(std::string_view(typed).substr(colon + 1));
  return file;
}

Result<Signal> read_signal(const SignalFile& file) {
  Result<std::unique_ptr<ByteSource>> source = open_file_or_stream(file.path);
  if (!source) return tl::unexpected(source.error());
  const Result<FileFormat> format =
      file.format == FileFormat::kAny ? format_by_content(**source) : file.format;
  if (!format) return tl::unexpected(format.error());
  if (*format == FileFormat::kWav) return read_wav(**source);
  if (*format == FileFormat::kCsv) {
    const Result<std::string> text = read_all(**source);
    if (!text) return tl::unexpected(text.error());
    return parse_csv(*text, (*source)->name(), file.columns);
  }
  Result<NpyReader> reader = NpyReader::open(std::move(*source));
  if (!reader) return tl::unexpected(reader.error());
  return reader->read();
}

Result<Signal> read_signal(const std::string& path, FileFormat format) {
  return read_signal(SignalFile{path, format, {}});
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
      case FileFormat::kWav: {
        const Result<std::string> bytes = wav_bytes(tensor, sample_rate, path);
        if (!bytes) return tl::unexpected(bytes.error());
        return write_bytes(descriptor, std::as_bytes(std::span(*bytes)), path);
      }
      case FileFormat::kAny:
        break;
    }
    return {};
  });
}

Result<std::vector<Tensor>> read_weights(const std::string& path, const std::vector<WeightShape>& shapes) {
  const auto refuse = [&](const std::string& what) {
    return make_error(ErrorCode::kInvalidData, fmt::format("--weights {}: {}.", path, what));
  };
  Names names = names_of(shapes);
  // What the layer has no use for is named rather than passed over.
  const bool no_bias = shapes.empty() || shapes.back().name != "bias";
  if (no_bias) names.push_back({"bias"});
  Result<Members> opened = open_weights(path, names);
  if (!opened) return tl::unexpected(opened.error());
  Members& members = *opened;
  if (no_bias && members.back() != nullptr)
    return refuse("bias.npy is there, but the layer has use_bias=False");
  std::vector<NpyReader> readers;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const std::string expected = fmt::format("({})", fmt::join(shapes[i].shape, ", "));
    if (members[i] == nullptr)
      return refuse(fmt::format("{}.npy is missing; it must have the shape {}", shapes[i].name, expected));
    Result<NpyReader> reader = NpyReader::open(std::move(members[i]));
    if (!reader) return tl::unexpected(reader.error());
    if (reader->shape() != shapes[i].shape) {
      return refuse(fmt::format("{} must have the shape {}, got ({})", shapes[i].name, expected,
                                fmt::join(reader->shape(), ", ")));
    }
    readers.push_back(std::move(*reader));
  }
  std::vector<Tensor> weights;
  for (NpyReader& reader : readers) {
    Result<Signal> array = reader.read();
    if (!array) return tl::unexpected(array.error());
    for (const std::string& note : array->notes) tell("note", note);
    weights.push_back(std::move(array->tensor));
  }
  return weights;
}

}  // namespace convsmith::cli
