# What `cmake --install` installs: the library, its public headers, the program, the LLVM module, and what
# CMake and pkg-config need to find them. Everything can be moved with its prefix.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/convsmith)

install(TARGETS convsmith EXPORT convsmith-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET convsmith_cli)
  install(TARGETS convsmith_cli EXPORT convsmith-targets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET convsmith_llvm)
  install(TARGETS convsmith_llvm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET convsmith_h5dump)
  install(TARGETS convsmith_h5dump RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/convsmith)
endif()
install(DIRECTORY include/convsmith DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

get_target_property(type convsmith TYPE)
set(CONVSMITH_IS_STATIC OFF)
if(type STREQUAL "STATIC_LIBRARY")
  set(CONVSMITH_IS_STATIC ON)
endif()
install(EXPORT convsmith-targets NAMESPACE convsmith:: DESTINATION ${package_dir})
configure_package_config_file(cmake/convsmith-config.cmake.in ${PROJECT_BINARY_DIR}/package/convsmith-config.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0, the C++ interface may change with each minor version.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/convsmith-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/convsmith-config.cmake
  ${PROJECT_BINARY_DIR}/package/convsmith-config-version.cmake
  cmake/ConvsmithDependencies.cmake cmake/ConvsmithAddKernel.cmake
  DESTINATION ${package_dir})

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
install(FILES ${PROJECT_BINARY_DIR}/package/convsmith.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
