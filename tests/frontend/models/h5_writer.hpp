// Writes small HDF5 files with the HDF5 library.
#pragma once

#include <hdf5.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace convsmith::h5_writer {

class H5Writer {
 public:
  H5Writer() {
    path_ = std::filesystem::temp_directory_path() /
            ("convsmith_h5_" + std::to_string(getpid()) + "_" + std::to_string(next_++) + ".h5");
    file_ = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  }
  ~H5Writer() { std::filesystem::remove(path_); }

  hid_t file() const { return file_; }

  void group(const std::string& path) {
    const hid_t creation = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(creation, 1);
    H5Gclose(H5Gcreate2(file_, path.c_str(), creation, H5P_DEFAULT, H5P_DEFAULT));
    H5Pclose(creation);
  }

  void fixed_text(const std::string& object, const std::string& name, const std::vector<std::string>& texts) {
    std::size_t width = 1;
    for (const std::string& text : texts) width = std::max(width, text.size());
    std::string bytes;
    for (const std::string& text : texts) bytes += text + std::string(width - text.size(), '\0');
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, width);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    attribute(object, name, type, texts.size(), bytes.data());
    H5Tclose(type);
  }

  void variable_text(const std::string& object, const std::string& name,
                     const std::vector<std::string>& texts) {
    std::vector<const char*> pointers;
    for (const std::string& text : texts) pointers.push_back(text.c_str());
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    attribute(object, name, type, texts.size(), pointers.data());
    H5Tclose(type);
  }

  // What Keras writes for a layer without weights.
  void no_names(const std::string& object) {
    attribute(object, "weight_names", H5T_NATIVE_DOUBLE, 0, nullptr);
  }

  // `data` is float32; `type` is how it is stored.
  void dataset(const std::string& path, const std::vector<hsize_t>& shape, const std::vector<float>& data,
               hid_t type = H5T_IEEE_F32LE, hid_t creation = H5P_DEFAULT) {
    raw_dataset(path, shape, type, H5T_NATIVE_FLOAT, data.empty() ? nullptr : data.data(), creation);
  }

  // `data` is of the type `given`.
  void raw_dataset(const std::string& path, const std::vector<hsize_t>& shape, hid_t type, hid_t given,
                   const void* data, hid_t creation = H5P_DEFAULT) {
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t set = H5Dcreate2(file_, path.c_str(), type, space, links, creation, H5P_DEFAULT);
    if (data != nullptr) H5Dwrite(set, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(links);
  }

  // Closes the file and gives its bytes.
  std::string bytes() {
    H5Fclose(file_);
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  void attribute(const std::string& object, const std::string& name, hid_t type, hsize_t count,
                 const void* data) {
    const hid_t id = H5Oopen(file_, object.c_str(), H5P_DEFAULT);
    const hid_t space = H5Screate_simple(1, &count, nullptr);
    const hid_t attr = H5Acreate2(id, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (count > 0) H5Awrite(attr, type, data);
    H5Aclose(attr);
    H5Sclose(space);
    H5Oclose(id);
  }

  static inline int next_ = 0;
  std::filesystem::path path_;
  hid_t file_ = -1;
};

}  // namespace convsmith::h5_writer
