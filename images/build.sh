#!/usr/bin/env bash
# Makes images of PostgreSQL and Valkey out of Debian packages, for a Docker Engine that no registry serves.
#
#   images/build.sh [--again] [postgres] [valkey]
#
# Without a name it makes both; one that is there is left alone unless --again is given.
# Needs root, debootstrap and a Debian mirror (FF_DEBIAN_MIRROR, else the one that apt uses). About a minute each.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
release=trixie
again=false
kinds=()

stop() {
  printf 'images/build.sh: %s\n' "$*" >&2
  exit 1
}

for argument in "$@"; do
  case $argument in
    --again) again=true ;;
    postgres | valkey) kinds+=("$argument") ;;
    *) stop "unknown argument $argument; it takes --again, postgres, valkey" ;;
  esac
done
[ ${#kinds[@]} -gt 0 ] || kinds=(postgres valkey)

image_of() {
  case $1 in
    postgres) echo ff-conformance/postgres:17-debian ;;
    valkey) echo ff-conformance/valkey:8-debian ;;
  esac
}

# Only Debian's own apt configuration names a Debian mirror.
find_mirror() {
  local found=
  if grep -qx 'ID=debian' /etc/os-release 2>/dev/null; then
    found=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
      sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +(http[^ ]+).*/\3/p' | grep -v security | head -n 1 || true)
  fi
  echo "${FF_DEBIAN_MIRROR:-${found:-http://deb.debian.org/debian}}"
}

check_tools() {
  [ "$(id -u)" = 0 ] || stop "debootstrap needs root: run it as root, or pull an image and name it in FF_POSTGRES_IMAGE and FF_VALKEY_IMAGE"
  command -v docker >/dev/null || stop "the docker program is missing; install the Docker command line"
  command -v debootstrap >/dev/null && return
  command -v apt-get >/dev/null || stop "debootstrap is missing; install it"
  echo "installing debootstrap" >&2
  apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >&2
}

# What no server needs; without its plug-in PostgreSQL knows that it cannot compile queries and does not try.
unneeded=(usr/share/doc usr/share/man usr/share/locale var/cache 'usr/lib/*/libLLVM*' 'usr/lib/llvm*' 'usr/lib/postgresql/*/lib/llvmjit*' 'usr/lib/postgresql/*/lib/bitcode')

# unpack FOLDER PACKAGES
unpack() {
  if ! debootstrap --variant=minbase --include="$2" "$release" "$1" "$mirror" >"$1.log" 2>&1; then
    tail -n 15 "$1.log" >&2
    stop "debootstrap could not unpack $2 of $release from $mirror"
  fi
}

# import FOLDER IMAGE CHANGE...
import() {
  local folder=$1 image=$2 skip=() changes=() entry
  shift 2
  for entry in "${unneeded[@]}"; do skip+=("--exclude=./$entry"); done
  for entry in "$@"; do changes+=(--change "$entry"); done
  tar --create --directory "$folder" "${skip[@]}" . | docker import "${changes[@]}" - "$image" >/dev/null
}

build_valkey() {
  unpack "$space/valkey" valkey-server,valkey-tools
  import "$space/valkey" "$1" 'CMD ["valkey-server", "--bind", "0.0.0.0", "--protected-mode", "no"]' 'EXPOSE 6379'
}

build_postgres() {
  unpack "$space/postgres" postgresql-17
  install -m 755 "$here/postgres-entrypoint.sh" "$space/postgres/usr/local/bin/postgres-entrypoint"
  import "$space/postgres" "$1" 'ENTRYPOINT ["postgres-entrypoint"]' 'CMD ["postgres"]' 'ENV LANG=C.UTF-8' 'EXPOSE 5432'
}

missing=()
for kind in "${kinds[@]}"; do
  if $again || ! docker image inspect "$(image_of "$kind")" >/dev/null 2>&1; then missing+=("$kind"); fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

check_tools
mirror=$(find_mirror)
space=$(mktemp -d)
trap 'rm -rf "$space"' EXIT
for kind in "${missing[@]}"; do
  "build_$kind" "$(image_of "$kind")"
  echo "made $(image_of "$kind")"
done
