# convsmith_add_kernel(NAME ecg SPEC model.keras [WEIGHTS w.npz] [TARGETS avx2 avx512] [BACKEND xbyak|llvm])
#
# Compiles a layer or model to machine code at build time and makes a static library NAME to link: the code,
# and the folder of its header NAME.h. The program that links it does not need convsmith when it runs.
#
#   SPEC     a model file, a layer's .json, or call text such as "Conv1D(32, 3, input_shape=(None, 128))"
#   WEIGHTS  what is embedded, where SPEC is no file with weights; without it, the program packs them
#   TARGETS  instruction sets; the code picks the best one that the CPU has. Without it, what
#            `convsmith compile` takes by itself
#   BACKEND  what makes the code
#
# Relative paths are below the current source folder. Changes of the files and of convsmith make it anew.
function(convsmith_add_kernel)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;SPEC;WEIGHTS;BACKEND" "TARGETS")
  foreach(argument NAME SPEC)
    if(NOT arg_${argument})
      message(FATAL_ERROR "convsmith_add_kernel needs ${argument}.")
    endif()
  endforeach()
  if(arg_UNPARSED_ARGUMENTS OR arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "convsmith_add_kernel does not understand "
      "'${arg_UNPARSED_ARGUMENTS}${arg_KEYWORDS_MISSING_VALUES}'.")
  endif()
  if(NOT arg_NAME MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
    message(FATAL_ERROR "convsmith_add_kernel: NAME is '${arg_NAME}'; it must be a C identifier.")
  endif()
  if(NOT TARGET convsmith::cli)
    message(FATAL_ERROR "convsmith_add_kernel needs the program convsmith, which is not here.")
  endif()

  set(spec "${arg_SPEC}")
  set(depends convsmith::cli)
  if(NOT spec MATCHES "[({]")  # call text or JSON, not a file
    cmake_path(ABSOLUTE_PATH spec BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    list(APPEND depends "${spec}")
  elseif(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${spec}")
    cmake_path(ABSOLUTE_PATH spec BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    list(APPEND depends "${spec}")
  endif()
  set(options "")
  if(arg_WEIGHTS)
    cmake_path(ABSOLUTE_PATH arg_WEIGHTS BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    list(APPEND options --weights "${arg_WEIGHTS}")
    list(APPEND depends "${arg_WEIGHTS}")
  endif()
  if(arg_TARGETS)
    list(JOIN arg_TARGETS "," targets)
    list(APPEND options --target "${targets}")
  endif()
  if(arg_BACKEND)
    list(APPEND options --backend "${arg_BACKEND}")
  endif()

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/convsmith_kernels/${arg_NAME}")
  file(MAKE_DIRECTORY "${folder}")
  set(object "${folder}/${arg_NAME}.o")
  set(header "${folder}/${arg_NAME}.h")
  add_custom_command(OUTPUT "${object}" "${header}"
    COMMAND convsmith::cli compile "${spec}" --name "${arg_NAME}" ${options} --emit obj,header
            -o "${folder}/${arg_NAME}"
    DEPENDS ${depends}
    COMMENT "Compiling kernel ${arg_NAME}"
    VERBATIM)
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  add_library(${arg_NAME} STATIC "${object}" "${header}")
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("C" IN_LIST languages)
    set_target_properties(${arg_NAME} PROPERTIES LINKER_LANGUAGE C)
  else()
    set_target_properties(${arg_NAME} PROPERTIES LINKER_LANGUAGE CXX)
  endif()
  target_include_directories(${arg_NAME} SYSTEM PUBLIC "${folder}")
endfunction()
