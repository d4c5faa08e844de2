#include "frontend/models/zip_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "frontend/keras/value.hpp"
#include "frontend/zip/zip_archive.hpp"

namespace convsmith::models {
namespace {

// Many times what weights or JSON can be compressed, with room for small files.
constexpr uint64_t kMostTimes = 100;
constexpr uint64_t kFloorBytes = uint64_t{1} << 20;

tl::unexpected<Error> damaged(const std::string& name, std::string_view why) {
  return make_error(ErrorCode::kInvalidData, fmt::format("The zip file {} {}.", quote(name), why));
}

bool leads_out(std::string path) {
  std::replace(path.begin(), path.end(), '\\', '/');
  const bool has_drive = path.size() > 1 && path[1] == ':';
  return path.starts_with('/') || has_drive || fmt::format("/{}/", path).find("/../") != std::string::npos;
}

Result<void> check_names(const std::vector<ZipMember>& members, const std::string& name) {
  std::set<std::string_view> seen;
  for (const ZipMember& member : members) {
    if (leads_out(member.name))
      return damaged(name, fmt::format("has the member {}, which leads out of it", quote(member.name)));
    if (!seen.insert(member.name).second) return damaged(name, "has two members with the same name");
  }
  return {};
}

// What the directory says of a member, as far as it can be believed.
Result<void> check_member(const ZipMember& member, uint64_t file_bytes, const std::string& name) {
  if (member.is_encrypted)
    return damaged(name, fmt::format("has the encrypted member {}", quote(member.name)));
  if (member.method != kZipStored && member.method != kZipDeflated)
    return damaged(
        name, fmt::format("has the member {} in another form than stored or deflated", quote(member.name)));
  const uint64_t most =
      member.method == kZipStored ? member.packed_size : kFloorBytes + kMostTimes * member.packed_size;
  if (member.size <= most && member.packed_size <= file_bytes) return {};
  return damaged(name, fmt::format("has the member {}, which claims to unpack from {} bytes to {}",
                                   quote(member.name), member.packed_size, member.size));
}

Result<std::string> read_member(ZipArchive& archive, const ZipMember& member, uint64_t file_bytes,
                                const std::string& name) {
  if (Result<void> done = check_member(member, file_bytes, name); !done) return tl::unexpected(done.error());
  std::string out(member.size, '\0');
  const bool is_open = archive.open(member);
  const std::optional<uint64_t> count = is_open ? archive.read(out.data(), out.size()) : std::nullopt;
  const bool is_right = is_open && archive.close();
  if (count && *count != member.size)
    return damaged(name,
                   fmt::format("has the member {}, whose size is not what it claims", quote(member.name)));
  if (!is_right) return damaged(name, fmt::format("has the damaged member {}", quote(member.name)));
  return out;
}

}  // namespace

Result<std::map<std::string, std::string, std::less<>>> read_zip(std::string_view bytes,
                                                                 const std::vector<std::string_view>& wanted,
                                                                 const std::string& name) {
  std::optional<ZipArchive> archive = ZipArchive::open_bytes(bytes);
  const auto members = archive ? archive->members() : std::nullopt;
  if (!members) return damaged(name, "is damaged: its directory can't be read");
  if (Result<void> done = check_names(*members, name); !done) return tl::unexpected(done.error());
  std::map<std::string, std::string, std::less<>> out;
  uint64_t total = 0;
  for (const ZipMember& member : *members) {
    if (std::find(wanted.begin(), wanted.end(), member.name) == wanted.end()) continue;
    Result<std::string> text = read_member(*archive, member, bytes.size(), name);
    if (!text) return tl::unexpected(text.error());
    total += text->size();
    if (total > wanted.size() * kFloorBytes + kMostTimes * bytes.size())
      return damaged(name, "unpacks to more than its size allows");
    out.emplace(member.name, std::move(*text));
  }
  return out;
}

}  // namespace convsmith::models
