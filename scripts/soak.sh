#!/usr/bin/env bash
# Strikes runs at random, ten times each, from seeds: kills and stops workers, newcomers and the scheduler. Whatever is
# struck, the run must end as if nothing had happened. Goes on where an earlier call was interrupted, past failures too;
# a seed that failed is repeated by build/release/tests/chaos/soak/soak_test SEED 1.
# usage: scripts/soak.sh [FAULTS [FIRST-SEED]], 1000 from seed 1 unless told otherwise; about a second a fault
set -euo pipefail
cd "$(dirname "$0")/.."

faults=${1:-1000}
cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target soak_test
build/release/tests/chaos/soak/soak_test --results build/soak.jsonl --faults 10 "${2:-1}" $(((faults + 9) / 10))
