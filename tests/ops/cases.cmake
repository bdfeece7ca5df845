# The case list and its harness, for the tests and for the benchmark.
include_guard(GLOBAL)
set(CAJAL_OP_CASE_SOURCES
  adamw_cases.cpp
  all_cases.cpp
  attention_cases.cpp
  cross_entropy_cases.cpp
  dropout_cases.cpp
  embedding_cases.cpp
  fill_cases.cpp
  gelu_cases.cpp
  global_norm_cases.cpp
  gradients.cpp
  harness.cpp
  layer_norm_cases.cpp
  linear_cases.cpp
  sampling_cases.cpp)
list(TRANSFORM CAJAL_OP_CASE_SOURCES PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
cajal_component(op_cases SOURCES ${CAJAL_OP_CASE_SOURCES} DEPENDS ops LIBRARIES fmt::fmt)
target_include_directories(cajal_op_cases PUBLIC ${PROJECT_SOURCE_DIR}/tests)
