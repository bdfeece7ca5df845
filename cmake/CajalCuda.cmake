# The CUDA toolkit, where there is one: defines CAJAL_HAS_CUDA. Without it stub files stand in for the
# backend.
set(CAJAL_HAS_CUDA FALSE)
if(CAJAL_CUDA STREQUAL "OFF")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(CAJAL_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CAJAL_CUDA is ON, but there is no nvcc: install the CUDA toolkit or set CUDACXX")
  endif()
  message(STATUS "cajal: no nvcc, so no CUDA backend")
  return()
endif()

set(CMAKE_CUDA_ARCHITECTURES ${CAJAL_CUDA_ARCHITECTURES})
enable_language(CUDA)
# CMake 3.25 knows no C++20 for nvcc; nvcc does from 12.0 on.
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
  message(FATAL_ERROR "the CUDA backend needs toolkit 12.8 or newer; configure with -DCAJAL_CUDA=OFF")
endif()
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
# The runtime is linked statically: a program built here starts where there is no CUDA at all.
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
find_package(CUDAToolkit REQUIRED)

# cuDNN is loaded at run time; its C++ front end is headers only. Without them attention uses kernels
# of its own.
# Both are looked for where install_dependencies.sh --cuda and python's packages put them, too.
set(cajal_user_data $ENV{XDG_DATA_HOME})
if(NOT cajal_user_data)
  set(cajal_user_data $ENV{HOME}/.local/share)
endif()
set(cajal_python_folders)
find_program(CAJAL_PYTHON NAMES python3)
if(CAJAL_PYTHON)
  execute_process(COMMAND ${CAJAL_PYTHON} -c "import sys; print(';'.join(p for p in sys.path if p))"
                  OUTPUT_VARIABLE cajal_python_folders OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
          HINTS ENV CUDNN_FRONTEND_PATH ${cajal_user_data}/cajal/cudnn-frontend ${cajal_python_folders}
          PATH_SUFFIXES include)
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS} ${cajal_python_folders}
          PATH_SUFFIXES include nvidia/cudnn/include)
mark_as_advanced(CUDNN_FRONTEND_INCLUDE_DIR CUDNN_INCLUDE_DIR CAJAL_PYTHON)
set(CAJAL_HAS_CUDA TRUE)

add_library(cajal_cuda_options INTERFACE)
target_compile_options(cajal_cuda_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;-lineinfo;-Xcompiler=-Wall,-Wextra,-Wshadow,-Wno-unknown-pragmas>"
  "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${CAJAL_WERROR}>>:-Werror=all-warnings;-Xcompiler=-Werror>")
