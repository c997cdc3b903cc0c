#!/usr/bin/env python3
"""Trains the same models with Convoy and with PyTorch, in turns on one quiet machine, and prints how they compare.

    pip install torch numpy safetensors
    benchmarks/train_vs_pytorch/compare.py [WORKLOAD …] [--precision fp32,bf16] [--threads 1,2] [--rounds 3] [--compile]
                                           [--program build/release/convoy] [--csv FILE]

One logical shard, batches of the same size, AdamW, the same clipping. A figure is the median over the rounds of the
median over a round's steps; memory is the largest peak of the resident set. Ratios are Convoy's over PyTorch's: of
speed (above 1: faster) and of memory (below 1: smaller; the second is without what PyTorch holds once imported).
roofline.py says what the roofline is.
"""
import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import data
import roofline
from workloads import ADAMW, WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent
WARM_UP = 3


def cores(threads):
    return sorted(os.sched_getaffinity(0))[:threads]


def run(command, threads, text=None):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(
        command, input=text, capture_output=True, text=True, env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cores(threads)), check=False,
    )
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return result.stdout


def convoy(program, folder, workload, precision, threads):
    run_folder = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "run"
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"[model]\n{workload['model']}[data]\n{data.section(folder, workload)}"
        f"[optimizer]\n{ADAMW}clip_norm = {workload['clip_norm']}\n"
        f"[train]\nsteps = {workload['steps'] + WARM_UP}\nglobal_batch = {workload['batch']}\nlogical_shards = 1\n"
        f'precision = "{precision}"\nthreads = {threads}\n'
    )
    run([program, "train", recipe, f"--run={run_folder}"], threads)
    steps = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    final = json.loads((run_folder / "final.json").read_text())
    return {"step_ms": [s["step_ms"] for s in steps[WARM_UP:]], "peak_bytes": final["peak_rss_bytes"]}


def peer(name, precision, threads, compiled):
    command = [sys.executable, HERE / "peer.py", name, "--precision", precision, "--threads", str(threads)]
    return json.loads(run(command + (["--compile"] if compiled else []), threads).splitlines()[-1])


def median_ms(results):
    return statistics.median(statistics.median(r["step_ms"]) for r in results)


def compare(arguments, folder, name, precision, threads):
    workload = WORKLOADS[name]
    modes = ["eager"] + (["compile"] if arguments.compile else [])
    ours, theirs = [], {mode: [] for mode in modes}
    for _ in range(arguments.rounds):
        ours.append(convoy(arguments.program, folder, workload, precision, threads))
        for mode in modes:
            theirs[mode].append(peer(name, precision, threads, mode == "compile"))
    row = {"workload": name, "precision": precision, "threads": threads, "convoy_ms": round(median_ms(ours), 2)}
    peak = max(r["peak_bytes"] for r in ours)
    row["convoy_mb"] = round(peak / 1e6)
    least = roofline.least_ms(arguments.program.parent / "benchmarks/benchmark_roofline", workload, precision, threads, run)
    row["roofline_ms"] = round(least, 2)
    row["share_of_roofline"] = round(least / median_ms(ours), 2)
    for mode in modes:
        their_peak = max(r["peak_bytes"] for r in theirs[mode])
        imported = min(r["imported_bytes"] for r in theirs[mode])
        row[f"{mode}_ms"] = round(median_ms(theirs[mode]), 2)
        row[f"{mode}_mb"] = round(their_peak / 1e6)
        row[f"speed_vs_{mode}"] = round(median_ms(theirs[mode]) / median_ms(ours), 2)
        row[f"memory_vs_{mode}"] = round(peak / their_peak, 2)
        row[f"memory_vs_{mode}_without_import"] = round(peak / (their_peak - imported), 2)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--precision", default="fp32,bf16")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="compare with torch.compile as well")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parents[1] / "build/release/convoy")
    parser.add_argument("--csv", help="write the table to this file too")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.workloads:
            for precision in arguments.precision.split(","):
                for threads in map(int, arguments.threads.split(",")):
                    row = compare(arguments, pathlib.Path(folder), name, precision, threads)
                    if not rows:
                        print("  ".join(row), flush=True)
                    rows.append(row)
                    print("  ".join(str(v) for v in row.values()), flush=True)
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
