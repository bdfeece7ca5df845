# Flags that every target of the project shares, as one interface library.
add_library(cajal_compile_options INTERFACE)
# Adds flags for C++ alone: nvcc takes its host compiler's another way.
function(cajal_cxx_options)
  target_compile_options(cajal_compile_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>")
endfunction()
cajal_cxx_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
                  -Woverloaded-virtual $<$<BOOL:${CAJAL_WERROR}>:-Werror>)

# g++ 12 sees overlapping copies in std::string's operator+ (GCC bug 105651, fixed in 13).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  cajal_cxx_options(-Wno-restrict)
endif()

# Clang reports every `omp simd` loop that it leaves scalar, a maximum with its NaN rule for one: a
# missed chance, not a fault.
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  cajal_cxx_options(-Wno-pass-failed)
endif()

# Sums keep their written order only without -ffast-math; contraction into FMA stays on, and reduction
# loops ask for reordering one by one (omp simd reduction).
cajal_cxx_options(-fno-math-errno -fno-trapping-math)

if(CAJAL_NATIVE)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=native CAJAL_HAS_MARCH_NATIVE)
  if(CAJAL_HAS_MARCH_NATIVE)
    cajal_cxx_options(-march=native)
  endif()
  check_cxx_compiler_flag(-mprefer-vector-width=512 CAJAL_HAS_VECTOR_WIDTH)
  if(CAJAL_HAS_VECTOR_WIDTH)
    cajal_cxx_options(-mprefer-vector-width=512)
  endif()
endif()

if(CAJAL_SANITIZE)
  cajal_cxx_options(-fsanitize=${CAJAL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cajal_compile_options INTERFACE -fsanitize=${CAJAL_SANITIZE})
endif()

if(CAJAL_CHECK_HOST_ACCESS OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(cajal_compile_options INTERFACE CAJAL_CHECK_HOST_ACCESS=1)
else()
  target_compile_definitions(cajal_compile_options INTERFACE CAJAL_CHECK_HOST_ACCESS=0)
endif()
target_link_libraries(cajal_compile_options INTERFACE OpenMP::OpenMP_CXX Threads::Threads)
