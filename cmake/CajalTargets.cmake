# The two shapes of target in this project.

# cajal_component(runtime SOURCES a.cpp ... [DEPENDS other ...] [LIBRARIES fmt::fmt ...])
# A static library cajal_<name>. DEPENDS are components and may only point down:
# cli -> train -> model -> ops -> runtime, data beside model.
function(cajal_component name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_library(cajal_${name} STATIC ${ARG_SOURCES})
  add_library(cajal::${name} ALIAS cajal_${name})
  target_include_directories(cajal_${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
           $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
           $<INSTALL_INTERFACE:include>)
  target_compile_features(cajal_${name} PUBLIC cxx_std_20)
  list(TRANSFORM ARG_DEPENDS PREPEND cajal_)
  target_link_libraries(cajal_${name} PUBLIC ${ARG_DEPENDS}
                                      PRIVATE $<BUILD_INTERFACE:cajal_compile_options> ${ARG_LIBRARIES})
endfunction()

# cajal_test(runtime SOURCES a_test.cpp ... DEPENDS runtime ...): a GoogleTest program test_<name>.
function(cajal_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(test_${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPENDS PREPEND cajal_)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE ${ARG_DEPENDS} ${ARG_LIBRARIES} cajal_compile_options
                                             GTest::gtest GTest::gmock GTest::gtest_main)
  # Tests are compiled far more often than they run long.
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST)
endfunction()
