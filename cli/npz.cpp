// NumPy's archives: a zip file of .npy files, through libzip.
#include <fmt/format.h>
#include <zip.h>

#include <algorithm>

#include "cli/tensor.hpp"

namespace convsmith::cli {
namespace {

struct Archive {
  std::string path;
  uint64_t bytes;
  std::shared_ptr<zip_t> zip;
};

tl::unexpected<Error> refuse(const std::string& path, const std::string& what) {
  return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", path, what));
}

class ZipSource : public ByteSource {
 public:
  ZipSource(std::string name, uint64_t size, std::shared_ptr<zip_t> archive, zip_file_t* file)
      : ByteSource(std::move(name), size), archive_(std::move(archive)), file_(file), left_(size) {}
  ~ZipSource() override { zip_fclose(file_); }
  ZipSource(const ZipSource&) = delete;
  ZipSource& operator=(const ZipSource&) = delete;

  Result<void> read(std::span<std::byte> bytes) override {
    while (!bytes.empty()) {
      const zip_int64_t count = zip_fread(file_, bytes.data(), bytes.size());
      if (count < 0)
        return refuse(name(), fmt::format("it can't be unpacked ({})", zip_file_strerror(file_)));
      if (count == 0) return refuse(name(), "it ends too early");
      bytes = bytes.subspan(static_cast<size_t>(count));
      left_ -= static_cast<uint64_t>(count);
    }
    return left_ > 0 ? Result<void>() : check_end();
  }

 private:
  // libzip compares the checksum where it sees the end.
  Result<void> check_end() {
    std::byte beyond{};
    const zip_int64_t count = zip_fread(file_, &beyond, 1);
    if (count == 0) return {};
    return refuse(name(), count > 0 ? "it is longer than the archive says"
                                    : fmt::format("it can't be unpacked ({})", zip_file_strerror(file_)));
  }

  std::shared_ptr<zip_t> archive_;  // outlives file_
  zip_file_t* file_;
  uint64_t left_;
};

Result<Archive> open_archive(const std::string& path) {
  const auto file = open_file(path);
  if (!file) return tl::unexpected(file.error());
  int code = 0;
  zip_t* const zip = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (zip != nullptr) return Archive{path, (*file)->size(), std::shared_ptr<zip_t>(zip, zip_discard)};
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string why = zip_error_strerror(&error);
  zip_error_fini(&error);
  return refuse(path, fmt::format("it is no readable .npz file ({})", why));
}

// What the archive's directory says of a member, as far as it can be believed.
Result<zip_stat_t> stat_entry(const Archive& archive, uint64_t index, const std::string& name) {
  zip_stat_t info;
  zip_stat_init(&info);
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if (zip_stat_index(archive.zip.get(), index, 0, &info) != 0 || (info.valid & kNeeded) != kNeeded) {
    return refuse(name, "its entry in the archive is broken");
  }
  if (info.encryption_method != ZIP_EM_NONE) return refuse(name, "it is encrypted");
  if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) {
    return refuse(name, fmt::format("its compression method is {}; it must be 0 (stored) or {} (deflated)",
                                    info.comp_method, ZIP_CM_DEFLATE));
  }
  // Deflate makes at most 1032 bytes of one.
  constexpr uint64_t kMaxRatio = 1100;
  if (info.comp_size > archive.bytes || info.size / kMaxRatio > info.comp_size) {
    return refuse(name, fmt::format("it claims to unpack {} bytes from {} in an archive of {}", info.size,
                                    info.comp_size, archive.bytes));
  }
  return info;
}

Result<std::unique_ptr<ByteSource>> open_entry(const Archive& archive, uint64_t index,
                                               const std::string& entry) {
  const std::string name = archive.path + ":" + entry;
  const Result<zip_stat_t> info = stat_entry(archive, index, name);
  if (!info) return tl::unexpected(info.error());
  zip_file_t* const file = zip_fopen_index(archive.zip.get(), index, 0);
  if (file == nullptr) {
    return refuse(name, fmt::format("it can't be unpacked ({})", zip_strerror(archive.zip.get())));
  }
  return std::make_unique<ZipSource>(name, info->size, archive.zip, file);
}

}  // namespace

Result<Members> open_npz(const std::string& path, const std::vector<std::vector<std::string>>& names) {
  const Result<Archive> archive = open_archive(path);
  if (!archive) return tl::unexpected(archive.error());
  Members members(names.size());
  const zip_int64_t count = zip_get_num_entries(archive->zip.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    const char* const raw = zip_get_name(archive->zip.get(), index, 0);
    const std::string entry = raw != nullptr ? raw : "";
    const auto wanted = std::find_if(names.begin(), names.end(), [&](const auto& aliases) {
      return std::any_of(aliases.begin(), aliases.end(),
                         [&](const std::string& name) { return entry == name + ".npy"; });
    });
    if (wanted == names.end()) {
      std::string legal;
      for (const auto& aliases : names) legal += (legal.empty() ? "" : ", ") + aliases.front() + ".npy";
      const bool is_torch = entry == "weight.npy" || entry.ends_with(".weight.npy");
      return refuse(path,
                    fmt::format("it has a member '{}'; it may only have {}{}", printable(entry), legal,
                                is_torch ? "; PyTorch's weight is kernel.npy here, with its axes in reverse "
                                           "order (weight.transpose() in NumPy)"
                                         : ""));
    }
    std::unique_ptr<ByteSource>& slot = members[static_cast<size_t>(wanted - names.begin())];
    if (slot != nullptr) return refuse(path, fmt::format("it has two members for {}", wanted->front()));
    Result<std::unique_ptr<ByteSource>> source = open_entry(*archive, index, entry);
    if (!source) return tl::unexpected(source.error());
    slot = std::move(*source);
  }
  return members;
}

}  // namespace convsmith::cli
