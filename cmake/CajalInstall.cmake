# cmake --install: headers, libraries, the program, and find_package(cajal) for outside projects.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(CAJAL_COMPONENTS)
foreach(component runtime ops data model train)
  if(TARGET cajal_${component})
    list(APPEND CAJAL_COMPONENTS ${component})
    set_target_properties(cajal_${component} PROPERTIES EXPORT_NAME ${component})
    install(TARGETS cajal_${component} EXPORT cajal-targets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
if(TARGET cajal)
  install(TARGETS cajal RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/cajal DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(CAJAL_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/cajal)
install(EXPORT cajal-targets NAMESPACE cajal:: DESTINATION ${CAJAL_PACKAGE_DIR})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/CajalConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/cajal-config.cmake
                              INSTALL_DESTINATION ${CAJAL_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cajal-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cajal-config.cmake
              ${PROJECT_BINARY_DIR}/cajal-config-version.cmake
        DESTINATION ${CAJAL_PACKAGE_DIR})
