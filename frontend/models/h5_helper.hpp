// Starts the program convsmith-h5dump on an HDF5 file and takes what it sends. So no process of a user is
// linked with the HDF5 library and the dozens that it needs, and whatever a damaged file does to it, it does
// elsewhere. Safe where other threads run. Called by h5_tree, and by the command line to tell what is there.
#pragma once

#include <string>
#include <string_view>

#include "convsmith/error.hpp"

namespace convsmith::models {

// The path of the program: what CONVSMITH_H5_HELPER says; or beside the library or the running program; or
// where it was installed. kUnavailable with the places where it was looked for.
Result<std::string> find_h5_helper();

// The records of a file (h5_records.hpp) without the greeting, as far as they came; nothing in them is to be
// trusted. kUnavailable where the program is missing, can't be started or is another one.
Result<std::string> ask_h5_helper(std::string_view bytes);

}  // namespace convsmith::models
