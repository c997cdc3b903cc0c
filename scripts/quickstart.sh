#!/usr/bin/env bash
# From a fresh clone to a language model that writes: installs, builds, trains for about two minutes with two workers
# on Debian's fortunes, or on FILE, and prints a sample.
#
#   scripts/quickstart.sh [FILE]
set -euo pipefail

text=()
if [ $# -gt 1 ]; then
  echo "usage: scripts/quickstart.sh [FILE]" >&2
  exit 2
elif [ $# -eq 1 ]; then
  if [ ! -r "$1" ]; then
    echo "quickstart.sh: cannot read $1" >&2
    exit 2
  fi
  text=("data.path=$(realpath "$1")")
fi
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

say "Installing what Convoy is built with"
scripts/install-deps.sh

say "Building (some minutes the first time)"
cmake --preset release >/dev/null
cmake --build --preset release --parallel "$(nproc)" --target convoy
convoy=build/release/convoy

run=runs/quickstart-$(date +%Y%m%d-%H%M%S)
say "Training a small GPT with two workers: convoy launch -n 2 -- train recipes/gpt-tiny.toml"
"$convoy" launch -n 2 --run "$run" -- train recipes/gpt-tiny.toml "${text[@]}"

loss_at() { "$1" -n 1 "$run/metrics.jsonl" | sed -E 's/.*"loss": ?([0-9.]{1,6}).*/\1/'; }
say "The loss fell from $(loss_at head) to $(loss_at tail) nats a byte. The model continues a text:"
"$convoy" generate "$run" --prompt "The " --tokens 300
echo

say "Where to look next"
cat <<END
  $run/metrics.jsonl    one line a step
  $run/events.jsonl     who joined, evaluations
  $run/final.json       hashes of parameters and state, held-out loss, speed
  $run/checkpoints/     the model, in safetensors
  $convoy status $run       the same in short; of a run that goes on, its page too
  $convoy generate $run --prompt "Once"           another sample
  $convoy launch -n 2 -- train recipes/gpt-tiny.toml train.steps=20000   a longer run
END
