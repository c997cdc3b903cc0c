# cmake --install: the program, the library with its headers and CMake package, and the recipes. Nothing installed holds
# the prefix, so the tree may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS convoy RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Modules that a program loads when it needs them stand beside libconvoy.
if(TARGET convoy_mpi)
  install(TARGETS convoy_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(TARGETS convoy_shared EXPORT convoy-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${CMAKE_BINARY_DIR}/include/convoy DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convoy/recipes)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/examples/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convoy/examples)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/convoy)
install(EXPORT convoy-targets NAMESPACE convoy:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/convoy-config.cmake.in ${CMAKE_BINARY_DIR}/convoy-config.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/convoy-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/convoy-config.cmake ${CMAKE_BINARY_DIR}/convoy-config-version.cmake
        DESTINATION ${package_folder})
