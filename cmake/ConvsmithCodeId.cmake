# code_id_source: a source file that holds a hash of the library's sources and settings. It is made by the build
# whenever one of them changes, so that kernels on disk belong to one build (codegen/code_id.hpp).
file(GLOB_RECURSE id_sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
     include/*.hpp frontend/*.hpp frontend/*.cpp ir/*.hpp ir/*.cpp codegen/*.hpp codegen/*.cpp codegen/*.def
     runtime/*.hpp runtime/*.cpp)
list(JOIN id_sources "\n" id_list)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/code_id.list CONTENT "${id_list}\n" @ONLY)
list(TRANSFORM id_sources PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE id_files)
string(TOUPPER "${CMAKE_BUILD_TYPE}" id_build_type)
string(JOIN " " id_settings ${PROJECT_VERSION} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}
       ${CMAKE_SYSTEM_PROCESSOR} ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${id_build_type}} xbyak ${xbyak_VERSION})
set(code_id_source ${PROJECT_BINARY_DIR}/code_id.cpp)
add_custom_command(OUTPUT ${code_id_source}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${code_id_source} -DROOT=${PROJECT_SOURCE_DIR}
          -DLIST=${PROJECT_BINARY_DIR}/code_id.list "-DSETTINGS=${id_settings}"
          -P ${PROJECT_SOURCE_DIR}/cmake/hash_sources.cmake
  DEPENDS ${id_files} ${PROJECT_BINARY_DIR}/code_id.list ${PROJECT_SOURCE_DIR}/cmake/hash_sources.cmake
  COMMENT "Hashing the sources" VERBATIM)
