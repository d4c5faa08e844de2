// Files that somebody may take for a Keras model: what they are by their first bytes, else by their names,
// and how to get one that can be read. Used where a file is no model.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace convsmith {

struct ForeignFile {
  std::string what;  // a sentence that begins with the file's path
  std::string cure;  // a sentence or two
  std::string text() const { return what + " " + cure; }
};

// Of a file by its first bytes, of which some kilobytes are enough, else by its name, unless it is JSON,
// which may have any; none if neither is known.
std::optional<ForeignFile> foreign_file(const std::string& path, std::string_view bytes);

// Of a folder, by what is in it: a SavedModel, a checkpoint, weights.
ForeignFile foreign_folder(const std::string& path);

}  // namespace convsmith
