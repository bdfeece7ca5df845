#!/usr/bin/env bash
# Installs what cajal needs to build, and only what is missing.
#
#   scripts/install_dependencies.sh [--test] [--sync] [--sanitizers] [--cuda]
#
#   --test        also GoogleTest, Google Benchmark and Python 3, which kills runs and cuts their power
#   --sync        also LLVM's and Clang's development files, the newest release from 14 to 20 that there
#                 is: cajal-sync is built where they are
#   --sanitizers  also clang with its OpenMP and sanitizer runtimes, for the tsan preset and scripts/fuzz.sh
#   --cuda        also the headers of cuDNN's front end, from Python's package index into
#                 ~/.local/share/cajal, where nvcc is: with them attention uses cuDNN where it is faster
#
# Knows apt (Debian 12, Ubuntu 24.04 and later; as root or with sudo) and Homebrew (macOS).
set -euo pipefail

readonly MINIMUM_CMAKE=3.25
readonly CUDNN_FRONTEND=1.32.0

say() { printf 'dependencies: %s\n' "$*"; }
fail() {
  printf 'install_dependencies.sh: %s\n' "$*" >&2
  exit 1
}

want_test=false
want_sync=false
want_sanitizers=false
want_cuda=false
for argument in "$@"; do
  case $argument in
    --test) want_test=true ;;
    --sync) want_sync=true ;;
    --sanitizers) want_sanitizers=true ;;
    --cuda) want_cuda=true ;;
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *) fail "unknown option $argument; use --test, --sync, --sanitizers, --cuda or --help" ;;
  esac
done

# Runs a command in silence; when it fails, shows what it printed.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "'$*' failed; its output is above"
  fi
  rm -f "$log"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

apt_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# newest_llvm PREDICATE: the development packages of the newest LLVM for which it holds.
newest_llvm() {
  local release
  for release in 20 19 18 17 16 15 14; do
    if "$@" "libclang-$release-dev" && "$@" "llvm-$release-dev"; then
      printf 'libclang-%s-dev llvm-%s-dev' "$release" "$release"
      return
    fi
  done
}

apt_offers() { apt-cache show "$1" >/dev/null 2>&1; }

install_llvm_with_apt() {
  if [ -n "$(newest_llvm apt_installed)" ]; then return; fi
  local packages
  packages=$(newest_llvm apt_offers)
  if [ -z "$packages" ]; then
    quietly as_root apt-get update -q
    packages=$(newest_llvm apt_offers)
  fi
  if [ -z "$packages" ]; then
    say "no LLVM from 14 to 20 here, so no cajal-sync"
    return
  fi
  say "installing with apt: $packages"
  # shellcheck disable=SC2086
  quietly as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends $packages
}

install_with_apt() {
  local packages="g++ cmake ninja-build pkg-config libdnnl-dev ocl-icd-opencl-dev libfmt-dev
    libspdlog-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libpcre2-dev libxxhash-dev"
  if $want_test; then packages="$packages libgtest-dev libgmock-dev libbenchmark-dev python3"; fi
  if $want_sanitizers; then packages="$packages clang libomp-dev libclang-rt-dev llvm"; fi

  local missing=() package
  for package in $packages; do
    apt_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "all present"
    return
  fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    fail "root rights are needed; run as root: apt-get install ${missing[*]}"
  fi
  say "installing with apt: ${missing[*]}"
  quietly as_root apt-get update -q
  quietly as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}"
}

install_with_brew() {
  # Apple's compiler and its SDK do not come from Homebrew.
  xcode-select -p >/dev/null 2>&1 || fail "no compiler; run: xcode-select --install"

  local packages="cmake ninja pkgconf libomp onednn fmt spdlog cli11 nlohmann-json tomlplusplus
    pcre2 xxhash"
  if $want_test; then packages="$packages googletest google-benchmark"; fi
  if $want_sync; then packages="$packages llvm@19"; fi

  local missing=() package
  for package in $packages; do
    brew list --formula --versions "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "all present"
    return
  fi
  say "installing with Homebrew: ${missing[*]}"
  quietly env HOMEBREW_NO_AUTO_UPDATE=1 HOMEBREW_NO_ENV_HINTS=1 \
    brew install --quiet "${missing[@]}"
}

check_cmake() {
  local version oldest
  version=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
  oldest=$(printf '%s\n%s\n' "$MINIMUM_CMAKE" "$version" | sort -t. -k1,1n -k2,2n | head -n 1)
  [ "$oldest" = "$MINIMUM_CMAKE" ] ||
    fail "cmake $version is too old; cajal needs $MINIMUM_CMAKE (Debian 12, Ubuntu 24.04, Homebrew)"
}

# Attention has kernels of its own: without the headers the build goes on.
install_cudnn_frontend() {
  local folder=${XDG_DATA_HOME:-$HOME/.local/share}/cajal/cudnn-frontend
  if [ -f "$folder/include/cudnn_frontend.h" ]; then return; fi
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    say "no nvcc, so no cuDNN front end"
    return
  fi
  local download
  download=$(mktemp -d)
  if python3 -m pip download -q --no-deps --only-binary=:all: -d "$download" \
    "nvidia-cudnn-frontend==$CUDNN_FRONTEND" >"$download/log" 2>&1 &&
    python3 -m zipfile -e "$download"/nvidia_cudnn_frontend-*.whl "$download/wheel"; then
    mkdir -p "$folder"
    rm -rf "$folder/include"
    mv "$download/wheel/include" "$folder/include"
    say "cuDNN front end $CUDNN_FRONTEND in $folder"
  else
    say "cuDNN's front end cannot be had here: $(tail -n 1 "$download/log")"
  fi
  rm -rf "$download"
}

if command -v apt-get >/dev/null; then
  install_with_apt
  if $want_sync; then install_llvm_with_apt; fi
elif command -v brew >/dev/null; then
  install_with_brew
else
  fail "neither apt-get nor brew is here; install by hand: a C++20 compiler with OpenMP, cmake" \
    "$MINIMUM_CMAKE, ninja, pkg-config, oneDNN, fmt, spdlog, CLI11, nlohmann-json, toml++, PCRE2, xxHash;" \
    "for the tests also GoogleTest and Google Benchmark"
fi
check_cmake
if $want_cuda; then install_cudnn_frontend; fi
