#!/usr/bin/env bash
# Runs the whole table of faults: every instant, 3 and 4 workers, dynamic and static graphs, each engine; every test run
# has a selection of it. Half an hour on two cores. usage: scripts/chaos.sh [FILTER], of the rows' names: "Leader*_gloo".
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target faults_test
build/release/tests/chaos/faults/faults_test --gtest_also_run_disabled_tests --gtest_brief=1 \
  --gtest_filter="All/EveryFaultTest.*/${1:-*}"
