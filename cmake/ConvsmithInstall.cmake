# What `cmake --install` installs: the library, its public headers, the program with its manual page, the LLVM module,
# the reader of HDF5 files, and what CMake and pkg-config need to find them. Everything can be moved with its prefix.
# Components are the packages of ConvsmithPackage.cmake.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/convsmith)

# All that is installed and has to be built.
add_custom_target(convsmith_installable DEPENDS convsmith)

# convsmith_installs(COMPONENT TARGET): what is missing is said before anything is copied.
function(convsmith_installs component target)
  add_dependencies(convsmith_installable ${target})
  install(CODE "
    if(NOT EXISTS \"$<TARGET_FILE:${target}>\")
      message(FATAL_ERROR \"convsmith is not built yet, and nothing was installed: $<TARGET_FILE:${target}> is missing. \"
        \"'cmake --build ${PROJECT_BINARY_DIR} --target convsmith_installable' builds what is installed.\")
    endif()" COMPONENT ${component})
endfunction()
convsmith_installs(development convsmith)
foreach(part program:convsmith_cli llvm:convsmith_llvm hdf5:convsmith_h5dump)
  string(REPLACE ":" ";" part ${part})
  list(GET part 0 component)
  list(GET part 1 target)
  if(TARGET ${target})
    convsmith_installs(${component} ${target})
  endif()
endforeach()

install(TARGETS convsmith EXPORT convsmith-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(DIRECTORY include/convsmith DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT development)
if(TARGET convsmith_llvm)
  install(TARGETS convsmith_llvm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT llvm)
endif()
if(TARGET convsmith_h5dump)
  install(TARGETS convsmith_h5dump RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/convsmith COMPONENT hdf5)
endif()
if(TARGET convsmith_cli)
  # A set of its own: who has the library alone does not have it.
  install(TARGETS convsmith_cli EXPORT convsmith-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
  install(EXPORT convsmith-program NAMESPACE convsmith:: DESTINATION ${package_dir} COMPONENT program)
  convsmith_install_manual()
endif()

get_target_property(type convsmith TYPE)
set(CONVSMITH_IS_STATIC OFF)
if(type STREQUAL "STATIC_LIBRARY")
  set(CONVSMITH_IS_STATIC ON)
endif()
install(EXPORT convsmith-targets NAMESPACE convsmith:: DESTINATION ${package_dir} COMPONENT development)
configure_package_config_file(cmake/convsmith-config.cmake.in ${PROJECT_BINARY_DIR}/package/convsmith-config.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0, the C++ interface may change with each minor version.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/convsmith-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/convsmith-config.cmake
  ${PROJECT_BINARY_DIR}/package/convsmith-config-version.cmake
  cmake/ConvsmithDependencies.cmake cmake/ConvsmithAddKernel.cmake
  DESTINATION ${package_dir} COMPONENT development)

# pkg-config. A static library has its dependencies in the public fields: without them nothing links, and
# whoever forgets --static should not have to find out.
set(CONVSMITH_PC_REQUIRES "")
set(CONVSMITH_PC_LIBS "")
set(CONVSMITH_PC_CFLAGS "")
if(CONVSMITH_IS_STATIC)
  set(CONVSMITH_PC_REQUIRES "fmt, libxxhash")
  set(CONVSMITH_PC_LIBS " -lpthreadpool")
  if(CONVSMITH_MODELS)
    string(APPEND CONVSMITH_PC_REQUIRES ", minizip")
  endif()
  if(CONVSMITH_DISASSEMBLER)
    string(APPEND CONVSMITH_PC_LIBS " -lZydis -lZycore")
  endif()
  # A C program that links this library needs C++'s.
  foreach(library IN LISTS CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
    if(library MATCHES "^(stdc\\+\\+|c\\+\\+)$")
      string(APPEND CONVSMITH_PC_LIBS " -l${library}")
    endif()
  endforeach()
  string(APPEND CONVSMITH_PC_LIBS " -lm -pthread")
  foreach(library IN LISTS CMAKE_DL_LIBS)
    string(APPEND CONVSMITH_PC_LIBS " -l${library}")
  endforeach()
endif()
get_target_property(expected_includes tl::expected INTERFACE_INCLUDE_DIRECTORIES)
list(REMOVE_DUPLICATES expected_includes)
list(REMOVE_ITEM expected_includes ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
foreach(folder IN LISTS expected_includes)
  string(APPEND CONVSMITH_PC_CFLAGS " -I${folder}")
endforeach()
file(RELATIVE_PATH CONVSMITH_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/convsmith.pc.in ${PROJECT_BINARY_DIR}/package/convsmith.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/convsmith.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR}
    -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake COMMENT "Uninstalling" VERBATIM)
  include(cmake/ConvsmithPackage.cmake)
endif()
