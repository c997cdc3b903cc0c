#!/usr/bin/env bash
# Runs random graphs under every subset of the optimiser's passes, beyond the 1,000 that every test run draws.
# usage: scripts/random-graphs.sh COUNT [FIRST-SEED]
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ]; then
  echo "usage: scripts/random-graphs.sh COUNT [FIRST-SEED]" >&2
  exit 2
fi
cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target core_graph_test
CONVOY_RANDOM_GRAPHS=$1 CONVOY_RANDOM_GRAPHS_FROM=${2:-1001} \
  build/release/tests/core/graph/core_graph_test --gtest_filter='RandomGraphTest.EveryPassSubset*'
