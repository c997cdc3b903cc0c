#!/usr/bin/env bash
# Builds the release preset and runs every test. With CI set, warnings are errors. CONVOY_TEST_PYTHON: a Python that can
# import tensorboard, safetensors and onnxruntime, for the tests that open our files in them.
set -euo pipefail
cd "$(dirname "$0")/.."

werror=OFF
if [ -n "${CI:-}" ]; then werror=ON; fi
cmake --preset release -DCONVOY_WERROR=$werror ${CONVOY_TEST_PYTHON:+-DCONVOY_TEST_PYTHON="$CONVOY_TEST_PYTHON"}
cmake --build --preset release --parallel "$(nproc)"
ctest --preset release --parallel 2
