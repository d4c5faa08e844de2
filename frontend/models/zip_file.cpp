#include "frontend/models/zip_file.hpp"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <memory>

#include "frontend/value.hpp"

namespace convsmith::models {
namespace {

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* member) const { zip_fclose(member); }
};
using Archive = std::unique_ptr<zip_t, Discard>;

// Many times what weights or JSON can be compressed, with room for small files.
constexpr uint64_t kMostTimes = 100;
constexpr uint64_t kFloorBytes = uint64_t{1} << 20;

tl::unexpected<Error> damaged(const std::string& name, std::string_view why) {
  return make_error(ErrorCode::kInvalidData, fmt::format("The zip file {} {}.", quote(name), why));
}

Result<Archive> open_archive(std::string_view bytes, const std::string& name) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* archive =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error);
  if (archive != nullptr) {
    zip_error_fini(&error);
    return Archive(archive);
  }
  const std::string why = zip_error_code_zip(&error) == ZIP_ER_EXISTS
                              ? "has two members with the same name"
                              : fmt::format("is damaged: {}", zip_error_strerror(&error));
  if (source != nullptr) zip_source_free(source);
  zip_error_fini(&error);
  return damaged(name, why);
}

bool leads_out(std::string path) {
  std::replace(path.begin(), path.end(), '\\', '/');
  const bool has_drive = path.size() > 1 && path[1] == ':';
  return path.starts_with('/') || has_drive || fmt::format("/{}/", path).find("/../") != std::string::npos;
}

Result<void> check_names(zip_t* archive, const std::string& name) {
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* raw = zip_get_name(archive, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    if (raw == nullptr) return damaged(name, "has a member without a name");
    const std::string member = raw;
    if (leads_out(member))
      return damaged(name, fmt::format("has the member {}, which leads out of it", quote(member)));
  }
  return {};
}

Result<std::string> read_member(zip_t* archive, zip_uint64_t index, uint64_t file_bytes,
                                const std::string& name, const std::string& member) {
  zip_stat_t info;
  zip_stat_init(&info);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  const bool known = zip_stat_index(archive, index, 0, &info) == 0 && (info.valid & kNeeded) == kNeeded;
  if (!known) return damaged(name, fmt::format("does not say how large its member {} is", quote(member)));
  if ((info.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && info.encryption_method != ZIP_EM_NONE)
    return damaged(name, fmt::format("has the encrypted member {}", quote(member)));
  if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE)
    return damaged(name,
                   fmt::format("has the member {} in another form than stored or deflated", quote(member)));
  const uint64_t most =
      info.comp_method == ZIP_CM_STORE ? info.comp_size : kFloorBytes + kMostTimes * info.comp_size;
  if (info.size > most || info.comp_size > file_bytes) {
    return damaged(name, fmt::format("has the member {}, which claims to unpack from {} bytes to {}",
                                     quote(member), info.comp_size, info.size));
  }
  const std::unique_ptr<zip_file_t, Discard> file(zip_fopen_index(archive, index, 0));
  if (file == nullptr) return damaged(name, fmt::format("has the damaged member {}", quote(member)));
  // One byte more than it claims, so that a longer member shows and the checksum is compared at the end.
  std::string out(info.size + 1, '\0');
  uint64_t done = 0;
  while (done < out.size()) {
    const zip_int64_t count = zip_fread(file.get(), out.data() + done, out.size() - done);
    if (count < 0) return damaged(name, fmt::format("has the damaged member {}", quote(member)));
    if (count == 0) break;
    done += static_cast<uint64_t>(count);
  }
  if (done != info.size)
    return damaged(name, fmt::format("has the member {}, whose size is not what it claims", quote(member)));
  out.pop_back();
  return out;
}

}  // namespace

Result<std::map<std::string, std::string, std::less<>>> read_zip(std::string_view bytes,
                                                                 const std::vector<std::string_view>& wanted,
                                                                 const std::string& name) {
  Result<Archive> archive = open_archive(bytes, name);
  if (!archive) return tl::unexpected(archive.error());
  if (Result<void> done = check_names(archive->get(), name); !done) return tl::unexpected(done.error());
  std::map<std::string, std::string, std::less<>> out;
  uint64_t total = 0;
  for (const std::string_view member : wanted) {
    const zip_int64_t index = zip_name_locate(archive->get(), std::string(member).c_str(), ZIP_FL_ENC_RAW);
    if (index < 0) continue;
    Result<std::string> text = read_member(archive->get(), static_cast<zip_uint64_t>(index), bytes.size(),
                                           name, std::string(member));
    if (!text) return tl::unexpected(text.error());
    total += text->size();
    if (total > wanted.size() * kFloorBytes + kMostTimes * bytes.size())
      return damaged(name, "unpacks to more than its size allows");
    out.emplace(member, std::move(*text));
  }
  return out;
}

}  // namespace convsmith::models
