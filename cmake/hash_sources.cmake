# Writes OUTPUT, a source file that holds a hash of SETTINGS and of the files that the file LIST names, one a
# line, relative to ROOT. Run by the build whenever one of them has changed.
file(STRINGS ${LIST} files)
set(all "${SETTINGS}")
foreach(path IN LISTS files)
  file(SHA256 ${ROOT}/${path} hash)
  string(APPEND all "\n${path} ${hash}")
endforeach()
string(SHA256 hash "${all}")
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[#include "codegen/code_id.hpp"

std::string_view convsmith::code_id() {
  return "@hash@";
}
]] @ONLY)
