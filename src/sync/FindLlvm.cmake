# Finds the newest LLVM from 20 down to 14 with Clang's development files, or the one that
# CAJAL_LLVM_DIR names. Sets CAJAL_SYNC_LLVM (libraries), CAJAL_SYNC_RESOURCES, CAJAL_SYNC_DEFINITIONS.
set(CAJAL_LLVM_DIR "" CACHE PATH "The LLVM to build cajal-sync with, for one /usr/lib/llvm-19")
set(CAJAL_SYNC_LLVM "")
set(candidates ${CAJAL_LLVM_DIR})
if(NOT CAJAL_LLVM_DIR)
  foreach(release RANGE 20 14 -1)
    list(APPEND candidates /usr/lib/llvm-${release} /opt/homebrew/opt/llvm@${release}
                           /usr/local/opt/llvm@${release})
  endforeach()
  list(APPEND candidates /opt/homebrew/opt/llvm /usr/local/opt/llvm)
endif()
foreach(candidate IN LISTS candidates)
  if(NOT EXISTS ${candidate}/lib/cmake/clang/ClangConfig.cmake OR
     NOT EXISTS ${candidate}/include/clang/Tooling/Tooling.h)
    continue()
  endif()
  # Read without making its targets: Debian's name static libraries that need packages of their own.
  file(READ ${candidate}/lib/cmake/llvm/LLVMConfig.cmake config)
  string(REGEX MATCH "set\\(LLVM_PACKAGE_VERSION ([0-9.]+)" unused "${config}")
  set(LLVM_VERSION ${CMAKE_MATCH_1})
  string(REGEX MATCH "set\\(LLVM_ENABLE_RTTI ([A-Z0-9]+)" unused "${config}")
  set(LLVM_ENABLE_RTTI ${CMAKE_MATCH_1})
  string(REGEX MATCH "^[0-9]+" release "${LLVM_VERSION}")
  find_library(clang_library_${release} NAMES clang-cpp libclang-cpp.so.${release}
                                              libclang-cpp.so.${release}.1
               PATHS ${candidate}/lib NO_DEFAULT_PATH)
  find_library(llvm_library_${release} NAMES LLVM LLVM-${release} PATHS ${candidate}/lib
               NO_DEFAULT_PATH)
  foreach(folder ${candidate}/lib/clang/${release} ${candidate}/lib/clang/${LLVM_VERSION})
    if(EXISTS ${folder}/include/stddef.h)
      set(resources ${folder})
    endif()
  endforeach()
  if(clang_library_${release} AND llvm_library_${release} AND resources)
    set(CAJAL_SYNC_LLVM ${clang_library_${release}} ${llvm_library_${release}})
    set(CAJAL_SYNC_RESOURCES ${resources})
    set(LLVM_INCLUDE_DIRS ${candidate}/include)
    set(CLANG_INCLUDE_DIRS ${candidate}/include)
    set(CAJAL_SYNC_DEFINITIONS __STDC_CONSTANT_MACROS __STDC_FORMAT_MACROS __STDC_LIMIT_MACROS)
    break()
  endif()
endforeach()
