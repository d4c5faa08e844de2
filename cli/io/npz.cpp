// NumPy's archives: a zip file of .npy files.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/io/tensor.hpp"
#include "frontend/zip/zip_archive.hpp"

namespace convsmith::cli {
namespace {

tl::unexpected<Error> refuse(const std::string& path, const std::string& what) {
  return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", path, what));
}

// An archive reads one member at a time, so each member has an archive of its own.
class ZipSource : public ByteSource {
 public:
  ZipSource(std::string name, uint64_t size, ZipArchive archive)
      : ByteSource(std::move(name), size), archive_(std::move(archive)), left_(size) {}

  Result<void> read(std::span<std::byte> bytes) override {
    const std::optional<uint64_t> count = archive_.read(bytes.data(), bytes.size());
    if (!count) return refuse(name(), "it can't be unpacked");
    if (*count < bytes.size()) return refuse(name(), "it ends too early");
    left_ -= bytes.size();
    if (left_ == 0 && !archive_.close())
      return refuse(name(), "it can't be unpacked (its checksum is wrong)");
    return {};
  }

 private:
  ZipArchive archive_;
  uint64_t left_;
};

// What the archive's directory says of a member, as far as it can be believed.
Result<void> check_entry(const ZipMember& member, uint64_t archive_bytes, const std::string& name) {
  if (member.is_encrypted) return refuse(name, "it is encrypted");
  if (member.method != kZipStored && member.method != kZipDeflated) {
    return refuse(name, fmt::format("its compression method is {}; it must be {} (stored) or {} (deflated)",
                                    member.method, kZipStored, kZipDeflated));
  }
  // Deflate makes at most 1032 bytes of one.
  constexpr uint64_t kMaxRatio = 1100;
  if (member.packed_size > archive_bytes || member.size / kMaxRatio > member.packed_size) {
    return refuse(name, fmt::format("it claims to unpack {} bytes from {} in an archive of {}", member.size,
                                    member.packed_size, archive_bytes));
  }
  return {};
}

Result<std::unique_ptr<ByteSource>> open_entry(const std::string& path, uint64_t archive_bytes,
                                               const ZipMember& member) {
  const std::string name = path + ":" + member.name;
  if (const Result<void> ok = check_entry(member, archive_bytes, name); !ok)
    return tl::unexpected(ok.error());
  std::optional<ZipArchive> archive = ZipArchive::open_file(path);
  if (!archive || !archive->open(member)) return refuse(name, "it can't be unpacked");
  return std::make_unique<ZipSource>(name, member.size, std::move(*archive));
}

}  // namespace

Result<Members> open_npz(const std::string& path, const std::vector<std::vector<std::string>>& names) {
  const auto file = open_file(path);
  if (!file) return tl::unexpected(file.error());
  std::optional<ZipArchive> archive = ZipArchive::open_file(path);
  const auto entries = archive ? archive->members() : std::nullopt;
  if (!entries) return refuse(path, "it is no readable .npz file");
  Members members(names.size());
  for (const ZipMember& entry : *entries) {
    const auto wanted = std::find_if(names.begin(), names.end(), [&](const auto& aliases) {
      return std::any_of(aliases.begin(), aliases.end(),
                         [&](const std::string& name) { return entry.name == name + ".npy"; });
    });
    if (wanted == names.end()) {
      std::string legal;
      for (const auto& aliases : names) legal += (legal.empty() ? "" : ", ") + aliases.front() + ".npy";
      const bool is_torch = entry.name == "weight.npy" || entry.name.ends_with(".weight.npy");
      return refuse(path,
                    fmt::format("it has a member '{}'; it may only have {}{}", printable(entry.name), legal,
                                is_torch ? "; PyTorch's weight is kernel.npy here, with its axes in reverse "
                                           "order (weight.transpose() in NumPy)"
                                         : ""));
    }
    std::unique_ptr<ByteSource>& slot = members[static_cast<size_t>(wanted - names.begin())];
    if (slot != nullptr) return refuse(path, fmt::format("it has two members for {}", wanted->front()));
    Result<std::unique_ptr<ByteSource>> source = open_entry(path, (*file)->size(), entry);
    if (!source) return tl::unexpected(source.error());
    slot = std::move(*source);
  }
  return members;
}

}  // namespace convsmith::cli
