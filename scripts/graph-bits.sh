#!/usr/bin/env bash
# Trains every recipe, narrowed, with every pass alone, with none and with all, on one, two and three workers, in fp32 and
# bf16, and compares with steps that run line by line: beyond the part of it that every test run does. About 20 minutes.
# usage: scripts/graph-bits.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target bits_test
CONVOY_WHOLE_MATRIX=1 build/release/tests/bits/bits_test --gtest_filter='*GraphBits*'
