# Finds what programs that link the static library must be linked with too. Used when convsmith is built and,
# installed beside the package files, by every project that finds it: the list is here only.
# Reads CONVSMITH_WITH_DISASSEMBLER and CONVSMITH_WITH_MODELS; leaves the names of what is missing in
# CONVSMITH_MISSING. Targets are global, because folders above the one that finds them may link them.
set(CONVSMITH_MISSING "")

find_package(fmt CONFIG QUIET GLOBAL)
if(NOT TARGET fmt::fmt)
  list(APPEND CONVSMITH_MISSING fmt)
endif()
find_package(Threads QUIET GLOBAL)
if(NOT TARGET Threads::Threads)
  list(APPEND CONVSMITH_MISSING threads)
endif()
if(CONVSMITH_WITH_DISASSEMBLER)
  find_package(zydis CONFIG QUIET GLOBAL)
  if(NOT TARGET Zydis::Zydis)
    list(APPEND CONVSMITH_MISSING zydis)
  endif()
endif()

find_library(CONVSMITH_PTHREADPOOL pthreadpool)
mark_as_advanced(CONVSMITH_PTHREADPOOL)
if(NOT CONVSMITH_PTHREADPOOL)
  list(APPEND CONVSMITH_MISSING pthreadpool)
elseif(NOT TARGET convsmith::pthreadpool)
  add_library(convsmith::pthreadpool UNKNOWN IMPORTED GLOBAL)
  set_target_properties(convsmith::pthreadpool PROPERTIES IMPORTED_LOCATION "${CONVSMITH_PTHREADPOOL}")
endif()

# convsmith_find_module(TARGET NAME...): the first of these pkg-config modules, as PkgConfig::TARGET.
macro(convsmith_find_module target)
  if(NOT TARGET PkgConfig::${target})
    pkg_search_module(${target} QUIET IMPORTED_TARGET GLOBAL ${ARGN})
  endif()
  if(NOT TARGET PkgConfig::${target})
    list(APPEND CONVSMITH_MISSING "${ARGV1}")
  endif()
endmacro()

find_package(PkgConfig QUIET)
if(NOT PkgConfig_FOUND)
  list(APPEND CONVSMITH_MISSING pkg-config)
else()
  convsmith_find_module(CONVSMITH_XXHASH libxxhash)
  if(CONVSMITH_WITH_MODELS)
    convsmith_find_module(CONVSMITH_MINIZIP minizip)
  endif()
endif()
