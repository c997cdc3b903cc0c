#!/usr/bin/env bash
# Installs what Convoy is built and tested with: on a bare Debian 12, as root. Quick when all is there.
set -euo pipefail

packages=(
  # compiler and build
  g++ cmake ninja-build ccache pkg-config git ca-certificates python3
  # libraries (cmake/Dependencies.cmake)
  libdnnl-dev libhwy-dev libzmq3-dev libsodium-dev cppzmq-dev protobuf-compiler libprotobuf-dev libcli11-dev libtomlplusplus-dev
  libspdlog-dev libfmt-dev nlohmann-json3-dev libxxhash-dev zlib1g-dev libturbojpeg0-dev libpng-dev libonnx-dev
  libboost1.81-dev libgtest-dev
  # the engine "mpi", and what its tests start
  libopenmpi-dev openmpi-bin
  # the text that scripts/quickstart.sh trains on
  fortunes
)

if [ -r /etc/os-release ]; then . /etc/os-release; fi
if [ "${ID:-}" != debian ]; then
  echo "install-deps.sh: this is ${PRETTY_NAME:-an unknown system}, not Debian; install what provides: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
  [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-deps.sh: all ${#packages[@]} packages are installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install-deps.sh: installing ${missing[*]} needs root: run  sudo $0" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "install-deps.sh: installed ${missing[*]}"
