# Everything comes from the distribution; scripts/install_dependencies.sh names the packages.
# CajalConfig.cmake.in asks for the same ones again on behalf of an installed cajal.

# Homebrew keeps libomp out of the default search path, and Apple's compiler has none of its own.
if(APPLE AND NOT OpenMP_ROOT AND NOT DEFINED ENV{OpenMP_ROOT})
  execute_process(COMMAND brew --prefix libomp OUTPUT_VARIABLE OpenMP_ROOT ERROR_QUIET
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# Debian's dnnl-config.cmake asks for OpenCL, though its library here is used on the CPU alone.
find_package(dnnl REQUIRED)
