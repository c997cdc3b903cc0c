#!/usr/bin/env python3
"""Measures what checkpoints cost a run that goes on training while they are written.

    benchmarks/checkpoint_cost/measure.py [--workload gpt2-124m] [--threads 1] [--every 10] [--checkpoints 16]
                                          [--spacing 3] [--program build/release/convoy] [--markdown FILE]

One run, with a checkpoint every `spacing` steps. A checkpoint costs what the steps took during which it was written,
by the clock, from the record of the step before them to that of the last one, beyond what as many took of the steps
right before and right after them; so a machine that gets slower or faster over minutes does not count, nor does the
noise of steps that no checkpoint could touch. That is set against `every` steps. Each checkpoint must stand, and a step
without one follow, before the next is due. Leave one core free: that is what writes them.
"""
import argparse
import array
import datetime
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "train_vs_pytorch"))
import report  # noqa: E402
from workloads import ADAMW, WORKLOADS  # noqa: E402


def tokens(folder, workload):
    """Writes random tokens and returns the lines of [data]: what a step costs does not depend on them."""
    draw, vocabulary, context = random.Random(1), workload["vocabulary"], workload["context"]
    for name, windows in (("train.bin", 64), ("val.bin", 4)):
        numbers = array.array("H", (draw.randrange(vocabulary) for _ in range(windows * context + 1)))
        (folder / name).write_bytes(numbers.tobytes())
    return f'kind = "tokens"\npath = "{folder}"\ncontext = {context}\nvocabulary = {vocabulary}\n'


def recipe(folder, arguments):
    workload = WORKLOADS[arguments.workload]
    steps = arguments.spacing * (arguments.checkpoints + 1)
    return (
        f"[model]\n{workload['model']}[data]\n{tokens(folder, workload)}"
        f"[optimizer]\n{ADAMW}clip_norm = {workload['clip_norm']}\n"
        f"[train]\nsteps = {steps}\nglobal_batch = {workload['batch']}\nlogical_shards = 1\n"
        f'precision = "fp32"\nthreads = {arguments.threads}\n'
        f"[checkpoint]\nevery = {arguments.spacing}\nkeep = 2\n"
    )


def lines_of(path, known):
    """The lines that were added to a file of which `known` are known."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True)[known:] if line.endswith("\n")]
    except OSError:
        return []


def train(folder, arguments):
    """When each step was on record, by the clock, and the run's events."""
    path, run = folder / "recipe.toml", folder / "run"
    path.write_text(recipe(folder, arguments))
    command = [arguments.program, "train", path, f"--run={run}"]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    at = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        while process.poll() is None:
            at += [time.time()] * len(lines_of(run / "metrics.jsonl", len(at)))
            time.sleep(0.02)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} failed: {process.stderr.read().decode()[-2000:]}")
    size = sum(file.stat().st_size for file in next((run / "checkpoints").iterdir()).iterdir())
    return at, lines_of(run / "events.jsonl", 0), size


def evaluate(at, events, arguments):
    """A row for each checkpoint."""

    def step_s(step):  # steps are counted from 1
        return at[step - 1] - at[step - 2]

    rows = []
    for step in range(arguments.spacing, arguments.spacing * (arguments.checkpoints + 1), arguments.spacing):
        done = [event["time"] for event in events if event["kind"] == "checkpoint" and event["step"] == step]
        last = next((s for s in range(step + 1, step + arguments.spacing) if done and at[s - 1] >= done[0]), None)
        if last is None:
            sys.exit(f"the checkpoint after step {step} did not stand {arguments.spacing - 1} steps later: "
                     "its cost is not known; give a larger --spacing")
        without = (step_s(step) + step_s(last + 1)) / 2
        covered = last - step
        excess = at[last - 1] - at[step - 1] - covered * without
        rows.append({"step": step, "covered": covered, "with_s": at[last - 1] - at[step - 1],
                     "without_s": covered * without, "cost": excess / (arguments.every * without),
                     "written_s": done[0] - at[step - 1]})
    return rows


def markdown(rows, size, arguments):
    commit = report.said_by(["git", "-C", str(HERE), "describe", "--always", "--dirty"])
    costs = [row["cost"] for row in rows]
    error = statistics.stdev(costs) / len(costs) ** 0.5 if len(costs) > 1 else float("nan")
    lines = [
        "# What checkpoints cost",
        "",
        f"{datetime.date.today()}, Convoy {report.said_by([arguments.program, '--version']).removeprefix('convoy ')}"
        f"{f' ({commit})' if commit else ''} on {report.machine()}.",
        "",
        f"`{arguments.workload}` in fp32, threads = {arguments.threads}, a checkpoint of {size / 1e9:.2f} GB every "
        f"{arguments.every} steps: **{100 * statistics.median(costs):.2f} %** of throughput (median of {len(costs)}; mean "
        f"{100 * statistics.mean(costs):.2f} %, standard error {100 * error:.2f} %).",
        "",
        "`with` is the time of the steps during which the checkpoint was written, `without` what as many took right "
        f"before and right after; the cost is their difference over {arguments.every} steps. `written` is the time from "
        "the step's record until the checkpoint stood, read back and renamed. Made by "
        "`benchmarks/checkpoint_cost/measure.py`.",
        "",
        "| after step | steps | with, s | without, s | cost | written, s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['step']} | {row['covered']} | {row['with_s']:.2f} | {row['without_s']:.2f} | {100 * row['cost']:.2f} % "
        f"| {row['written_s']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="gpt2-124m",
                        choices=[name for name in WORKLOADS if WORKLOADS[name]["data"] == "tokens"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--checkpoints", type=int, default=16)
    parser.add_argument("--spacing", type=int, default=3, help="steps from one checkpoint to the next")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parents[1] / "build/release/convoy")
    parser.add_argument("--folder", type=pathlib.Path, help="on the disk that checkpoints are written to")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the page to this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        at, events, size = train(pathlib.Path(folder), arguments)
    page = markdown(evaluate(at, events, arguments), size, arguments)
    print(page, end="")
    if arguments.markdown:
        arguments.markdown.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
