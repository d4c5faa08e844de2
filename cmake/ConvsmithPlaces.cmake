# Tells the code that looks for the LLVM module and for convsmith-h5dump where they are installed, seen from the
# library and from programs (frontend/keras/companion.hpp).
set(libexec_dir ${CMAKE_INSTALL_FULL_LIBEXECDIR}/convsmith)
file(RELATIVE_PATH bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH lib_to_libexec ${CMAKE_INSTALL_FULL_LIBDIR} ${libexec_dir})
file(RELATIVE_PATH bin_to_libexec ${CMAKE_INSTALL_FULL_BINDIR} ${libexec_dir})
set_source_files_properties(codegen/llvm_loader.cpp PROPERTIES COMPILE_DEFINITIONS
  "CONVSMITH_BIN_TO_LIB=\"${bin_to_lib}\"")
set(h5_places CONVSMITH_LIB_TO_LIBEXEC="${lib_to_libexec}" CONVSMITH_BIN_TO_LIBEXEC="${bin_to_libexec}"
  CONVSMITH_LIBEXEC="${libexec_dir}")
# As a folder of another project, whose programs lie elsewhere and run without being installed.
if(NOT PROJECT_IS_TOP_LEVEL)
  list(APPEND h5_places CONVSMITH_H5_BUILD_FOLDER="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endif()
set_source_files_properties(frontend/models/h5_helper.cpp PROPERTIES COMPILE_DEFINITIONS "${h5_places}")
