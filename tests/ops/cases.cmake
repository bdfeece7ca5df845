# The case list and its harness, for the tests and for the benchmark.
include_guard(GLOBAL)
set(CAJAL_OP_CASE_SOURCES
  all_cases.cpp
  gelu_cases.cpp
  gradients.cpp
  harness.cpp
  linear_cases.cpp)
list(TRANSFORM CAJAL_OP_CASE_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
cajal_component(op_cases SOURCES ${CAJAL_OP_CASE_SOURCES} DEPENDS ops LIBRARIES fmt::fmt)
target_include_directories(cajal_op_cases PUBLIC ${PROJECT_SOURCE_DIR}/tests)
