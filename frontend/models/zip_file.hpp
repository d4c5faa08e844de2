// The members of a zip archive in memory, as far as .keras files need them. An archive is refused as a whole
// if a member's name is there twice, is absolute or leads out of it; a member, if it is encrypted or claims
// to be out of proportion to the file. Called by load_model.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"

namespace convsmith::models {

// The contents of those of the `wanted` members that are there. `name` is what errors call the archive.
Result<std::map<std::string, std::string, std::less<>>> read_zip(std::string_view bytes,
                                                                 const std::vector<std::string_view>& wanted,
                                                                 const std::string& name);

}  // namespace convsmith::models
