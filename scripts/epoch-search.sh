#!/usr/bin/env bash
# Searches the states of the membership protocol in larger worlds than every test run does: minutes, and gigabytes of
# memory. usage: scripts/epoch-search.sh [WORLD], one of tests/scheduler/epoch_search_test.cpp ("ThreeTwoSteps").
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target scheduler_test
build/release/tests/scheduler/scheduler_test --gtest_also_run_disabled_tests \
  --gtest_filter="Worlds/LargeEpochSearchTest.*/${1:-*}"
