#!/usr/bin/env bash
# Builds the release preset and runs every test. With CI set, warnings are errors.
set -euo pipefail
cd "$(dirname "$0")/.."

werror=OFF
if [ -n "${CI:-}" ]; then werror=ON; fi
cmake --preset release -DCONVOY_WERROR=$werror
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release --parallel 2
