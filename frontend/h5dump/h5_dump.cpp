#include "frontend/h5dump/h5_dump.hpp"

#include <hdf5.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "frontend/models/h5_records.hpp"

namespace convsmith::models {
namespace {

// An identifier of the library, released at the end of the scope.
class Handle {
 public:
  explicit Handle(hid_t id) : id_(id) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }
  hid_t operator*() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_;
};

// Collects records and writes them in large pieces. A failed write means that the reader has gone.
class Writer {
 public:
  explicit Writer(int out) : out_(out) {}
  void byte(H5Record kind) { buffer_.push_back(static_cast<char>(kind)); }
  void number(uint64_t value) { raw(&value, sizeof value); }
  void text(std::string_view value) {
    number(value.size());
    raw(value.data(), value.size());
  }
  void raw(const void* data, std::size_t size) {
    buffer_.append(static_cast<const char*>(data), size);
    if (buffer_.size() > (std::size_t{1} << 16)) flush();
  }
  void flush() {
    for (std::size_t done = 0; done < buffer_.size();) {
      const ssize_t count = write(out_, buffer_.data() + done, buffer_.size() - done);
      if (count <= 0) _exit(1);
      done += static_cast<std::size_t>(count);
    }
    buffer_.clear();
  }

 private:
  int out_;
  std::string buffer_;
};

bool is_half(hid_t type) {
  std::size_t sign = 0, exponent = 0, exponent_bits = 0, mantissa = 0, mantissa_bits = 0;
  return H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 &&
         exponent == 10 && exponent_bits == 5 && mantissa == 0 && mantissa_bits == 10;
}

// HDF5 does not know the type: Keras writes its bytes as they are.
bool is_bfloat(hid_t type) {
  return H5Tget_class(type) == H5T_OPAQUE && H5Tget_size(type) == 2;
}

// The name of a float type that can be converted, or null.
const char* float_name(hid_t type) {
  if (is_bfloat(type)) return "bfloat16";
  if (H5Tget_class(type) != H5T_FLOAT) return nullptr;
  if (H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0) return "float32";
  if (H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0) return "float64";
  return H5Tget_size(type) == 2 && is_half(type) ? "float16" : nullptr;
}

class Dump {
 public:
  Dump(uint64_t file_bytes, int out)
      : out_(out), file_bytes_(file_bytes), budget_(h5_size_limit(file_bytes)) {}

  void file(hid_t root) {
    visit_address(root);
    group(root, "", 0);
    out_.flush();
  }
  void failed() {
    out_.byte(H5Record::kFailed);
    out_.flush();
  }

 private:
  void refuse(std::string_view name, std::string_view reason) {
    out_.byte(H5Record::kRefused);
    out_.text(name);
    out_.text(reason);
  }

  // False where the object was seen before.
  bool visit_address(hid_t object) {
    H5O_info_t info;
    return H5Oget_info(object, &info) >= 0 && seen_.insert(info.addr).second;
  }

  bool charge(uint64_t bytes) {
    if (bytes > budget_) return false;
    budget_ -= bytes;
    return true;
  }

  void group(hid_t id, std::string_view name, int depth) {
    out_.byte(H5Record::kGroup);
    out_.text(name);
    attributes(id);
    const auto take = [](hid_t /*group*/, const char* link, const H5L_info_t*, void* names) -> herr_t {
      static_cast<std::vector<std::string>*>(names)->emplace_back(link);
      return 0;
    };
    std::vector<std::string> names;
    H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &names);
    for (const std::string& child : names) {
      if (depth == 0 && is_optimizer(id, child)) continue;
      link(id, child, depth + 1);
    }
    out_.byte(H5Record::kEnd);
  }

  static bool is_optimizer(hid_t root, const std::string& name) {
    if (name == "optimizer_weights") return H5Lexists(root, "model_weights", H5P_DEFAULT) > 0;
    return name == "optimizer" && (H5Lexists(root, "layers", H5P_DEFAULT) > 0 ||
                                   H5Lexists(root, "_layer_checkpoint_dependencies", H5P_DEFAULT) > 0);
  }

  // The kind of the link is looked at before anything is opened.
  void link(hid_t parent, const std::string& name, int depth) {
    H5L_info_t info;
    if (H5Lget_info(parent, name.c_str(), &info, H5P_DEFAULT) < 0) return refuse(name, "can't be read");
    if (info.type == H5L_TYPE_SOFT) return refuse(name, "is a soft link");
    if (info.type == H5L_TYPE_EXTERNAL) return refuse(name, "is a link to another file");
    if (info.type != H5L_TYPE_HARD) return refuse(name, "is a link of a kind that is not known");
    if (depth > kMaxH5Depth) return refuse(name, "is nested too deeply");
    const Handle object(H5Oopen(parent, name.c_str(), H5P_DEFAULT));
    if (!object.ok()) return refuse(name, "can't be opened");
    if (!visit_address(*object)) return refuse(name, "is linked more than once");
    const H5I_type_t type = H5Iget_type(*object);
    if (type == H5I_GROUP) return group(*object, name, depth);
    if (type != H5I_DATASET) return refuse(name, "is neither a group nor a dataset");
    dataset(*object, name);
  }

  void attributes(hid_t object) {
    const auto take = [](hid_t /*object*/, const char* name, const H5A_info_t*, void* names) -> herr_t {
      static_cast<std::vector<std::string>*>(names)->emplace_back(name);
      return 0;
    };
    std::vector<std::string> names;
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &names);
    for (const std::string& name : names) {
      const std::optional<std::vector<std::string>> texts = attribute(object, name);
      if (!texts) continue;
      out_.byte(H5Record::kAttribute);
      out_.text(name);
      out_.number(texts->size());
      for (const std::string& text : *texts) out_.text(text);
    }
  }

  // Of an attribute that is text, or that has no elements (Keras writes "no names" as an empty float array).
  std::optional<std::vector<std::string>> attribute(hid_t object, const std::string& name) {
    const Handle attr(H5Aopen(object, name.c_str(), H5P_DEFAULT));
    if (!attr.ok()) return std::nullopt;
    const Handle type(H5Aget_type(*attr));
    const Handle space(H5Aget_space(*attr));
    if (!type.ok() || !space.ok()) return std::nullopt;
    const hssize_t points = H5Sget_simple_extent_npoints(*space);
    if (points == 0) return std::vector<std::string>{};
    if (points < 0 || H5Tget_class(*type) != H5T_STRING) return std::nullopt;
    const auto count = static_cast<uint64_t>(points);
    if (count > file_bytes_) return std::nullopt;
    return H5Tis_variable_str(*type) > 0 ? variable_texts(*attr, *type, *space, count)
                                         : fixed_texts(*attr, *type, count);
  }

  std::optional<std::vector<std::string>> fixed_texts(hid_t attr, hid_t type, uint64_t count) {
    const std::size_t size = H5Tget_size(type);
    if (size == 0 || size > file_bytes_ / count || !charge(size * count)) return std::nullopt;
    std::string bytes(size * count, '\0');
    if (H5Aread(attr, type, bytes.data()) < 0) return std::nullopt;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view text = std::string_view(bytes).substr(i * size, size);
      const std::size_t end = text.find_last_not_of(H5Tget_strpad(type) == H5T_STR_SPACEPAD ? ' ' : '\0');
      texts.emplace_back(text.substr(0, end == std::string_view::npos ? 0 : end + 1));
    }
    return texts;
  }

  std::optional<std::vector<std::string>> variable_texts(hid_t attr, hid_t type, hid_t space,
                                                         uint64_t count) {
    std::vector<char*> pointers(count, nullptr);
    if (H5Aread(attr, type, pointers.data()) < 0) return std::nullopt;
    std::vector<std::string> texts;
    bool fits = true;
    for (const char* text : pointers) {
      fits = fits && (text == nullptr || charge(std::strlen(text)));
      if (fits) texts.emplace_back(text == nullptr ? "" : text);
    }
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers.data());
    return fits ? std::optional(std::move(texts)) : std::nullopt;
  }

  // Null if the dataset's storage may be read; else the reason why not. `bytes` is its size in the file's
  // type.
  static const char* check_storage(hid_t dataset, uint64_t bytes, uint64_t file_bytes) {
    const Handle plist(H5Dget_create_plist(dataset));
    if (!plist.ok()) return "can't be read";
    const H5D_layout_t layout = H5Pget_layout(*plist);
    if (layout == H5D_VIRTUAL) return "is a virtual dataset, which takes its data from other files";
    if (H5Pget_external_count(*plist) != 0) return "keeps its data in another file";
    const int filters = H5Pget_nfilters(*plist);
    if (filters < 0) return "can't be read";
    for (unsigned i = 0; i < static_cast<unsigned>(filters); ++i) {
      unsigned flags = 0, config = 0;
      std::size_t values = 0;
      const H5Z_filter_t filter = H5Pget_filter2(*plist, i, &flags, &values, nullptr, 0, nullptr, &config);
      if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE)
        return "has a filter other than deflate and shuffle";
    }
    const uint64_t stored = H5Dget_storage_size(dataset);
    if (stored > file_bytes || (filters == 0 && bytes > stored)) return "claims more data than the file has";
    if (layout != H5D_CHUNKED) return nullptr;
    hsize_t chunk[H5S_MAX_RANK];
    const int rank = H5Pget_chunk(*plist, H5S_MAX_RANK, chunk);
    uint64_t floats = rank < 0 ? UINT64_MAX : 1;
    for (int i = 0; i < rank; ++i) {
      if (__builtin_mul_overflow(floats, chunk[i], &floats)) floats = UINT64_MAX;
    }
    return floats > h5_size_limit(file_bytes) / 8 ? "has chunks that are larger than the file allows"
                                                  : nullptr;
  }

  void dataset(hid_t id, const std::string& name) {
    const Handle type(H5Dget_type(id));
    const Handle space(H5Dget_space(id));
    if (!type.ok() || !space.ok()) return refuse(name, "can't be read");
    const char* stored_as = float_name(*type);
    if (stored_as == nullptr)
      return refuse(name, "has a type of number other than float16, bfloat16, float32 and float64");
    hsize_t sizes[H5S_MAX_RANK];
    const int rank = H5Sget_simple_extent_dims(*space, sizes, nullptr);
    if (rank < 0 || H5Sget_simple_extent_type(*space) == H5S_NULL) return refuse(name, "has no shape");
    uint64_t floats = 1;
    for (int i = 0; i < rank; ++i) {
      // Zero sizes must not hide the others.
      if (__builtin_mul_overflow(floats, sizes[i], &floats) || sizes[i] > file_bytes_ * 1024)
        floats = UINT64_MAX / 16;
    }
    const uint64_t bytes = floats * H5Tget_size(*type);
    if (floats > h5_size_limit(file_bytes_) / 8) return refuse(name, "claims more data than the file has");
    if (floats != 0) {
      if (const char* reason = check_storage(id, bytes, file_bytes_)) return refuse(name, reason);
    }
    if (!charge(floats * sizeof(float))) return refuse(name, "claims more data than the file has");
    std::vector<float> data(floats);
    if (floats != 0 && !read(id, *type, data)) return refuse(name, "can't be read: its data is damaged");
    out_.byte(H5Record::kDataset);
    out_.text(name);
    out_.text(stored_as);
    out_.number(static_cast<uint64_t>(rank));
    for (int i = 0; i < rank; ++i) out_.number(sizes[i]);
    out_.raw(data.data(), data.size() * sizeof(float));
  }

  static bool read(hid_t id, hid_t type, std::vector<float>& data) {
    if (!is_bfloat(type))
      return H5Dread(id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()) >= 0;
    std::vector<uint16_t> halves(data.size());  // the upper ones of floats
    if (H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, halves.data()) < 0) return false;
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::bit_cast<float>(uint32_t{halves[i]} << 16);
    return true;
  }

  Writer out_;
  uint64_t file_bytes_;
  uint64_t budget_;  // bytes that may still be read
  std::set<haddr_t> seen_;
};

}  // namespace

void dump_h5(std::string_view bytes, int out) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);  // filters from shared libraries
  Dump dump(bytes.size(), out);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS));
  const bool ready = H5Pset_fapl_core(*access, std::size_t{1} << 16, 0) >= 0 &&
                     H5Pset_file_image(*access, const_cast<char*>(bytes.data()), bytes.size()) >= 0;
  const hid_t file = ready ? H5Fopen("in memory", H5F_ACC_RDONLY, *access) : -1;
  if (file < 0) return dump.failed();
  const Handle root(H5Gopen2(file, "/", H5P_DEFAULT));
  if (!root.ok()) return dump.failed();
  dump.file(*root);
}

}  // namespace convsmith::models
