# convsmith_make_library(TARGET KIND): the library that is installed, from objects that are compiled already.
# KIND is STATIC, SHARED or empty (then BUILD_SHARED_LIBS decides).
function(convsmith_make_library target kind)
  set(rooms convsmith_frontend convsmith_ir convsmith_codegen convsmith_runtime)
  if(CONVSMITH_MODELS)
    list(APPEND rooms convsmith_zip)
  endif()
  list(TRANSFORM rooms REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
  add_library(${target} ${kind} ${objects})
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  # As in ConvsmithDependencies.cmake. Headers of these were needed to compile the objects only.
  target_link_libraries(${target} PUBLIC tl::expected
    PRIVATE fmt::fmt Threads::Threads convsmith::pthreadpool PkgConfig::CONVSMITH_XXHASH ${CMAKE_DL_LIBS})
  if(CONVSMITH_DISASSEMBLER)
    target_link_libraries(${target} PRIVATE Zydis::Zydis)
  endif()
  if(CONVSMITH_MODELS)
    target_link_libraries(${target} PRIVATE PkgConfig::CONVSMITH_MINIZIP)
    add_dependencies(${target} convsmith_h5dump)
  endif()
  # Before 1.0 the C++ interface may change with each minor version, and programs must not load another.
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "SHARED_LIBRARY")
    set(map ${PROJECT_SOURCE_DIR}/cmake/exports.map)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${map})
    target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,--exclude-libs,ALL)
  endif()
endfunction()
