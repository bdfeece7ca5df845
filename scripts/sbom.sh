#!/usr/bin/env bash
# Writes what a built cajal is made of: a software bill of materials in CycloneDX 1.5 (JSON).
#
#   scripts/sbom.sh [PROGRAM] >cajal.cdx.json        PROGRAM: build/release/cajal unless named
#
# Everything is read from the build itself: the libraries that the program loads (ldd), the headers
# that were compiled into it (the build's own record of dependencies), and the tools that made it
# (CMakeCache.txt). dpkg says which Debian package each belongs to. What no package owns is listed
# with its SHA-256 and named on stderr. Scope "required" is in the program or loaded by it, "excluded"
# only built it. The result depends on program and packages alone, but for the time, which
# SOURCE_DATE_EPOCH sets.
set -euo pipefail

fail() {
  printf 'sbom.sh: %s\n' "$*" >&2
  exit 1
}

case ${1:-} in
  -h | --help)
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d'
    exit 0
    ;;
  -*) fail "unknown option $1; use --help" ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
program=${1:-$root/build/release/cajal}
build=$(cd "$(dirname "$program")" 2>/dev/null && pwd) || fail "no folder of $program"
[ -x "$program" ] || fail "$program is not there; build it, or name another"
[ -f "$build/CMakeCache.txt" ] || fail "$build is no build folder: name the program where it was built"
for tool in dpkg-query ldd sha256sum; do
  command -v "$tool" >/dev/null || fail "$tool is missing; this works on Debian and its kin"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "NAME=PATH" in CMakeCache.txt.
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }

libraries() { ldd "$program" | sed -n 's/^[[:space:]]*\(.* => \)\{0,1\}\(\/[^ ]*\) (0x.*/\2/p'; }

# Of the sources of the program, not of its tests.
headers() {
  local ninja
  ninja=$(cached CMAKE_MAKE_PROGRAM)
  [ -f "$build/.ninja_deps" ] || return 0
  "$ninja" -C "$build" -t deps 2>/dev/null |
    awk '/^[^ ]/ { ours = /^src\// && !/^src\/sync\// } ours && /^ +\/usr\// { print $1 }' | sort -u
}

tools() {
  local name
  for name in CMAKE_CXX_COMPILER CMAKE_CUDA_COMPILER CMAKE_COMMAND CMAKE_MAKE_PROGRAM CMAKE_LINKER \
    PKG_CONFIG_EXECUTABLE; do
    cached "$name" | grep '^/' || true
  done
}

# candidates SCOPE: reads paths; "SCOPE<tab>PATH<tab>NAME" for each name by which dpkg may know it: with
# and without /usr, and as the file that a link leads to.
candidates() {
  sort -u >"$work/paths"
  xargs -r realpath <"$work/paths" >"$work/real"
  paste "$work/paths" "$work/real" | awk -F '\t' -v OFS='\t' -v scope="$1" '{
    for (i = 1; i <= 2; ++i) {
      name = $i
      print scope, $1, name
      print scope, $1, "/usr" name
      if (sub(/^\/usr/, "", name)) print scope, $1, name
    }
  }'
}

libraries >"$work/libraries"
headers >"$work/headers"
tools >"$work/tools"
[ -s "$work/libraries" ] || fail "ldd finds no libraries of $program"
[ -s "$work/headers" ] || printf 'sbom.sh: %s\n' \
  "no record of headers in $build (built without ninja?): header-only libraries are left out" >&2
{
  candidates required <"$work/libraries"
  candidates required <"$work/headers"
  candidates excluded <"$work/tools"
} >"$work/candidates"

# "NAME<tab>PACKAGE", from "PACKAGE[, PACKAGE]: NAME". Names that dpkg does not know make it exit 1.
cut -f 3 "$work/candidates" | sort -u | { xargs dpkg-query -S 2>/dev/null || true; } |
  sed -n '/^diversion /d; s/^\([^ ,]*\)[^/]*: \(\/.*\)$/\2\t\1/p' >"$work/owners"

# What is both in the program and a tool counts as in the program.
awk -F '\t' -v foreign="$work/foreign" '
  NR == FNR { owner[$1] = $2; next }
  { scope[$2] = scope[$2] == "required" ? "required" : $1 }
  $3 in owner { package[$2] = owner[$3] }
  END {
    for (path in scope) {
      if (!(path in package)) {
        print scope[path], path >foreign
      } else if (scopes[package[path]] != "required") {
        scopes[package[path]] = scope[path]
      }
    }
    for (name in scopes) print name, scopes[name]
  }' "$work/owners" "$work/candidates" | sort >"$work/packages"
touch "$work/foreign"

# ---- Output ----

quote() { printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g')"; }
# For a package URL: what Debian's names and versions may hold beside letters and digits.
escape() { printf '%s' "$1" | sed 's/%/%25/g; s/+/%2B/g; s/:/%3A/g'; }

# shellcheck disable=SC1091
os_id=$(. /etc/os-release && printf '%s' "$ID")
# shellcheck disable=SC1091
os_version=$(. /etc/os-release && printf '%s' "${VERSION_ID:-$ID}")
version=$(sed -n 's/^project(cajal VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
epoch=${SOURCE_DATE_EPOCH:-$(date +%s)}
refs=()

package_component() {
  local package=$1 scope=$2 name found architecture source maintainer type=library purl
  IFS=$'\t' read -r name found architecture source maintainer < <(
    dpkg-query -W -f='${Package}\t${Version}\t${Architecture}\t${source:Package}\t${Maintainer}\n' \
      "$package" | head -n 1
  )
  [ "$scope" = required ] || type=application
  purl="pkg:deb/$os_id/$(escape "$name")@$(escape "$found")?arch=$architecture&distro=$os_id-$os_version"
  [ "$scope" = excluded ] || refs+=("$purl")
  printf '    {"type": "%s", "bom-ref": %s, "supplier": {"name": %s}, "name": %s, "version": %s,\n' \
    "$type" "$(quote "$purl")" "$(quote "$maintainer")" "$(quote "$name")" "$(quote "$found")"
  printf '     "scope": "%s", "purl": %s,\n' "$scope" "$(quote "$purl")"
  printf '     "properties": [{"name": "debian:source", "value": %s}]}' "$(quote "$source")"
}

foreign_component() {
  local scope=$1 path=$2 hash
  hash=$(sha256sum "$path" | cut -d ' ' -f 1)
  printf 'sbom.sh: no package owns %s\n' "$path" >&2
  [ "$scope" = excluded ] || refs+=("sha256:$hash")
  printf '    {"type": "file", "bom-ref": "sha256:%s", "name": %s, "scope": "%s",\n' \
    "$hash" "$(quote "$path")" "$scope"
  printf '     "hashes": [{"alg": "SHA-256", "content": "%s"}]}' "$hash"
}

components() {
  local first=true name scope path
  separate() {
    $first || printf ',\n'
    first=false
  }
  while read -r name scope; do
    separate
    package_component "$name" "$scope"
  done <"$work/packages"
  while read -r scope path; do
    separate
    foreign_component "$scope" "$path"
  done < <(sort -k 2 "$work/foreign")
  printf '\n'
}

cat <<END
{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "metadata": {
    "timestamp": "$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)",
    "component": {
      "type": "application", "bom-ref": "cajal", "name": "cajal", "version": "$version",
      "licenses": [{"license": {"id": "Apache-2.0"}}],
      "hashes": [{"alg": "SHA-256", "content": "$(sha256sum "$program" | cut -d ' ' -f 1)"}]
    }
  },
  "components": [
END
components
printf '  ],\n  "dependencies": [\n    {"ref": "cajal", "dependsOn": ['
separator=
for ref in ${refs[@]+"${refs[@]}"}; do
  printf '%s\n      %s' "$separator" "$(quote "$ref")"
  separator=,
done
printf ']}\n  ]\n}\n'
