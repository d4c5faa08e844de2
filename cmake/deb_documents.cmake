# Run by cpack before it packs: each package gets what Debian asks of it, the licence under its own name.
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} key)
  set(folder ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr/share/doc/${CPACK_DEBIAN_${key}_PACKAGE_NAME})
  file(MAKE_DIRECTORY ${folder})
  file(COPY_FILE ${CPACK_CONVSMITH_SOURCE}/LICENSE ${folder}/copyright)
endforeach()
