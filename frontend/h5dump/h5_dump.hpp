// Reads an HDF5 file with the HDF5 library and writes what is in it as records
// (frontend/models/h5_records.hpp). Called by main, whose process has nothing else to lose.
#pragma once

#include <string_view>

namespace convsmith::models {

// Writes all records to the file descriptor `out`.
void dump_h5(std::string_view bytes, int out);

}  // namespace convsmith::models
