"""A comparison as a page for people: the machine, the versions, a table."""
import datetime
import os
import pathlib
import re
import subprocess

FEATURES = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")  # of a processor: what bf16 and fp32 run on


def said_by(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"model name\s*: (.*)", info)
    flags = set(re.search(r"flags\s*: (.*)", info).group(1).split()) if "flags" in info else set()
    features = ", ".join(feature for feature in FEATURES if feature in flags)
    missing = "" if flags & {"amx_bf16", "avx512_bf16"} else "; no bf16 instructions: bf16 is emulated here"
    cores = len(os.sched_getaffinity(0))
    return f"{name.group(1) if name else 'unknown processor'}, {cores} cores ({features}{missing})"


def share(row, key):
    return f"{row[key]:.2f}" if key in row else "–"


def markdown(rows, arguments):
    modes = [mode for mode in arguments.peers if any(f"{mode}_ms" in row for row in rows)]
    commit = said_by(["git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty"])
    steps = arguments.steps or "as many as the workload has"
    lines = [
        "# Training against PyTorch",
        "",
        f"{datetime.date.today()}, Convoy {said_by([arguments.program, '--version']).removeprefix('convoy ')}"
        f"{f' ({commit})' if commit else ''} against PyTorch {arguments.torch} on {machine()}.",
        "",
        "The same model, batch, precision and threads, one logical shard; alternating runs, medians (rounds: "
        f"{arguments.rounds}; steps: {steps}; Convoy's graph: {arguments.graph}). `speed` is PyTorch's time over Convoy's (above 1: Convoy is faster), "
        "`memory` Convoy's peak resident set over PyTorch's, in brackets over what PyTorch holds beyond its import "
        "(below 1: Convoy needs less). `roofline` is the least time by oneDNN's own rates and the memory's over "
        "Convoy's time. In bf16 `eager` and `compile` use autocast over fp32 weights, as Convoy does; `cast` has bf16 "
        "weights only.",
        "",
        "Made by `benchmarks/train_vs_pytorch/compare.py`.",
        "",
    ]
    header = ["workload", "precision", "threads", "Convoy ms", "roofline", "Convoy MB"]
    for mode in modes:
        header += [f"{mode} ms", f"{mode} speed", f"{mode} MB", f"{mode} memory"]
    lines += [f"| {' | '.join(header)} |", f"|{' --- |' * 2}{' ---: |' * (len(header) - 2)}"]
    for row in rows:
        cells = [row["workload"], row["precision"], row["threads"], row["convoy_ms"], share(row, "share_of_roofline")]
        cells.append(row["convoy_mb"])
        for mode in modes:
            memory = f"{share(row, f'memory_vs_{mode}')} ({share(row, f'memory_vs_{mode}_without_import')})"
            cells += [row.get(f"{mode}_ms", "–"), share(row, f"speed_vs_{mode}"), row.get(f"{mode}_mb", "–")]
            cells.append(memory if f"{mode}_ms" in row else "–")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"
