#!/usr/bin/env python3
"""Trains the same models with Convoy and with PyTorch, in turns on one quiet machine, and prints how they compare.

    pip install torch numpy safetensors
    benchmarks/train_vs_pytorch/compare.py [WORKLOAD …] [--precision fp32,bf16] [--threads 1,2] [--rounds 3]
                                           [--peers eager,compile,cast] [--graph static|dynamic]
                                           [--steps N] [--warm-up N]
                                           [--program build/release/convoy] [--csv FILE] [--markdown FILE]

One logical shard, batches of the same size, AdamW, the same clipping. A figure is the median over the rounds of the
median over a round's steps; memory is the largest peak of the resident set. Ratios are Convoy's over PyTorch's: of
speed (above 1: faster) and of memory (below 1: smaller; the second is without what PyTorch holds once imported).
roofline.py says what the roofline is. Peers: PyTorch as it is ("eager") or after torch.compile ("compile"), in bf16 by
autocast over fp32 weights, as Convoy keeps them; "cast" casts the model, which then has no fp32 weights at all.
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
import report
import roofline
from workloads import ADAMW, WORKLOADS

HERE = pathlib.Path(__file__).resolve().parent
PEERS = {"eager": [], "compile": ["--compile"], "cast": ["--cast"]}


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


def convoy(arguments, folder, workload, precision, threads):
    run_folder = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "run"
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"[model]\n{workload['model']}[data]\n{data.section(folder, workload)}"
        f"[optimizer]\n{ADAMW}clip_norm = {workload['clip_norm']}\n"
        f"[train]\nsteps = {(arguments.steps or workload['steps']) + arguments.warm_up}\n"
        f"global_batch = {workload['batch']}\nlogical_shards = 1\n"
        f'precision = "{precision}"\nthreads = {threads}\ngraph = "{arguments.graph}"\n'
    )
    run([arguments.program, "train", recipe, f"--run={run_folder}"], threads)
    steps = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    final = json.loads((run_folder / "final.json").read_text())
    return {"step_ms": [s["step_ms"] for s in steps[arguments.warm_up :]], "peak_bytes": final["peak_rss_bytes"]}


def peer(arguments, name, precision, threads, mode):
    command = [sys.executable, HERE / "peer.py", name, "--precision", precision, "--threads", str(threads)]
    command += ["--warm-up", str(arguments.warm_up), *PEERS[mode]]
    command += ["--steps", str(arguments.steps)] if arguments.steps else []
    return json.loads(run(command, threads).splitlines()[-1])


def median_ms(results):
    return statistics.median(statistics.median(r["step_ms"]) for r in results)


def compare(arguments, folder, name, precision, threads):
    workload = WORKLOADS[name]
    modes = [mode for mode in arguments.peers if mode != "cast" or precision == "bf16"]
    ours, theirs = [], {mode: [] for mode in modes}
    for _ in range(arguments.rounds):
        ours.append(convoy(arguments, folder, workload, precision, threads))
        for mode in modes:
            theirs[mode].append(peer(arguments, name, precision, threads, mode))
    row = {"workload": name, "precision": precision, "threads": threads, "convoy_ms": round(median_ms(ours), 2)}
    peak = max(r["peak_bytes"] for r in ours)
    row["convoy_mb"] = round(peak / 1e6)
    rates = arguments.program.parent / "benchmarks/benchmark_roofline"
    least = roofline.least_ms(rates, workload, precision, threads, run)
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
    arguments.torch = theirs[modes[0]][0]["torch"] if modes else "none"
    return row


def write(arguments, rows):
    """What is measured so far: a long comparison that is stopped has not been for nothing."""
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, max((row.keys() for row in rows), key=len))
            writer.writeheader()
            writer.writerows(rows)
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(report.markdown(rows, arguments), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", default=[name for name in WORKLOADS if "only" not in WORKLOADS[name]])
    parser.add_argument("--precision", default="fp32,bf16")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--graph", default="static", choices=("static", "dynamic"), help="how Convoy runs its steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default="eager,compile", type=lambda text: text.split(","))
    parser.add_argument("--steps", type=int, help="steps to time, other than the workload's own number")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before those that are timed")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parents[1] / "build/release/convoy")
    parser.add_argument("--csv", type=pathlib.Path, help="write the table to this file too")
    parser.add_argument("--markdown", type=pathlib.Path, help="and, with what it was measured on, to this one")
    arguments = parser.parse_args()
    for kind, given, known in (("peer", arguments.peers, PEERS), ("workload", arguments.workloads, WORKLOADS)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"unknown {kind} {unknown[0]}: expected {', '.join(known)}")
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
                    write(arguments, rows)


if __name__ == "__main__":
    main()
