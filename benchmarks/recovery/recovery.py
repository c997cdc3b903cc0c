#!/usr/bin/env python3
"""Kills workers and the scheduler of a training run, and measures how long it takes until the next step is committed.

    pip install torch numpy
    benchmarks/recovery/recovery.py [--kills 12] [--scheduler-kills 3] [--peer-kills 5] [--engine local]
                                    [--program build/release/convoy] [--torchrun torchrun] [--markdown FILE]

A GPT of 6 layers, width 384, three workers of one thread, six logical shards of one sample of 256 tokens. Recovery is
the time from the SIGKILL to the next step on record, less one step of an undisturbed run with as many workers as are
left. Steps are on record once the scheduler has written their line. Beside it torchrun's elastic restart of the same
model, with its fastest monitor interval: from the SIGKILL to the first step that had not been done before, less one
undisturbed step, and how many steps had to be done again.
"""
import argparse
import datetime
import json
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "train_vs_pytorch"))
import data  # noqa: E402
import report  # noqa: E402
from workloads import ADAMW, WORKLOADS  # noqa: E402

WORKLOAD = WORKLOADS["gpt-6x384"]
WORKERS, BATCH = 3, 6
HUNG_S = 90  # without a step after a kill: torchrun has restarted its workers, and they do not meet
QUIET_STEPS = 4  # of all workers, between a recovery and the next kill


class Lines:
    """A file that grows by lines, each with the time at which it was seen."""

    def __init__(self, path):
        self.path, self.offset, self.lines = path, 0, []

    def poll(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return self.lines
        now = time.time()
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        self.lines += [(now, line) for line in whole.decode().splitlines()]
        return self.lines


class Timeout(Exception):
    pass


def wait_for(condition, process, limit=300):
    until = time.time() + limit
    while not (found := condition()):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode} before it should")
        if time.time() > until:
            raise Timeout(f"nothing happened for {limit} s")
        time.sleep(0.001)
    return found


class Convoy:
    def __init__(self, arguments, folder, workers, steps, launch=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "run"
        recipe = folder / "recipe.toml"
        recipe.write_text(
            f"[model]\n{WORKLOAD['model']}[data]\n{data.section(folder, WORKLOAD)}"
            f"[optimizer]\n{ADAMW}clip_norm = {WORKLOAD['clip_norm']}\n"
            f"[train]\nsteps = {steps}\nglobal_batch = {BATCH}\nlogical_shards = {BATCH}\n"
            f'[sync]\nengine = "{arguments.engine}"\n'
        )
        command = [arguments.program, "launch", "-n", str(workers), *launch]
        command += [f"--run={self.folder}", "--", "train", recipe]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.metrics = Lines(self.folder / "metrics.jsonl")

    def steps(self):
        return [(seen, json.loads(line)) for seen, line in self.metrics.poll()]

    def quiet(self, workers):
        """The last step, once some in a row were done by so many workers under one ballot; else nothing."""
        last = [step for _, step in self.steps()[-QUIET_STEPS:]]
        calm = len(last) == QUIET_STEPS and all(s["world"] == workers for s in last)
        return last[-1] if calm and last[0]["ballot"] == last[-1]["ballot"] else None

    def pids(self):
        """By the launcher's numbers, of the process that joined last."""
        pids = {}
        for line in (self.folder / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["kind"] == "worker_joined":
                pids[event["rank"]] = int(re.search(r"pid (\d+)", event["detail"]).group(1))
        return pids

    def scheduler(self):
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 1 and words[1] == b"scheduler" and str(self.folder).encode() in b" ".join(words):
                return int(entry.name)
        raise SystemExit("there is no scheduler")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def undisturbed_step(arguments, folder, workers):
    run = Convoy(arguments, folder, workers, 12)
    run.process.wait(600)
    return statistics.median(step["step_ms"] for _, step in run.steps()[3:]) / 1e3


def kill_workers(arguments, folder, step_s):
    run = Convoy(arguments, folder, WORKERS, 1_000_000, ["--max-restarts", "1000"])
    recoveries = []
    chance = random.Random(1)
    for number in range(arguments.kills):
        before = wait_for(lambda: run.quiet(WORKERS), run.process)
        time.sleep(chance.random() * step_s[WORKERS])
        count = len(run.steps())
        before = run.steps()[-1][1]
        killed = time.time()
        os.kill(run.pids()[number % WORKERS], signal.SIGKILL)

        def recovered():
            newer = [(seen, s) for seen, s in run.steps()[count:] if s["ballot"] != before["ballot"]]
            return newer[0] if newer else None

        seen, step = wait_for(recovered, run.process)
        numbers = [s["step"] for _, s in run.steps()]
        if numbers != list(range(1, len(numbers) + 1)):
            raise SystemExit("a step is missing")
        recoveries.append(seen - killed - step_s[step["world"]])
        print(f"worker {number % WORKERS} killed: next step after {seen - killed:.3f} s, recovery {recoveries[-1]:.3f} s",
              flush=True)
    run.end()
    return recoveries


def kill_schedulers(arguments, folder):
    run = Convoy(arguments, folder, WORKERS, 1_000_000)
    for _ in range(arguments.scheduler_kills):
        wait_for(lambda: run.quiet(WORKERS), run.process)
        count = len(run.steps())
        time.sleep(0.2)
        os.kill(run.scheduler(), signal.SIGKILL)
        wait_for(lambda: len(run.steps()) >= count + 2 * QUIET_STEPS, run.process)
    times = [step["step_ms"] / 1e3 for _, step in run.steps()[3:]]
    run.end()
    return {"median": statistics.median(times), "worst": max(times), "steps": len(times)}


def torchrun(arguments, folder, every):
    folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
    command = [arguments.torchrun, "--standalone", f"--nproc-per-node={WORKERS}", "--monitor-interval=0.1"]
    command += ["--max-restarts=1000", HERE / "elastic_peer.py", folder]
    command += ["--steps=1000000", f"--batch={BATCH}", f"--every={every}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}

    def start():
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def stop():  # and whatever of its workers hangs
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        subprocess.run(["pkill", "-KILL", "-f", str(folder)], check=False)
        process.wait()

    process = start()
    lines = Lines(folder / "steps")

    def steps():
        return [tuple(map(float, line.split())) for _, line in lines.poll()]

    chance = random.Random(1)
    times, again, recoveries, hung = [], [], [], 0
    for number in range(arguments.peer_kills):
        count = len(steps())
        wait_for(lambda: len(steps()) > count + every // 2 + QUIET_STEPS, process)
        times += [b[1] - a[1] for a, b in zip(steps()[count + 1 :], steps()[count + 2 :])]
        step_s = statistics.median(times)
        time.sleep(chance.random() * step_s)
        furthest, count = steps()[-1][0], len(steps())
        killed = time.time()
        os.kill(int((folder / f"pid-{number % WORKERS}").read_text()), signal.SIGKILL)
        try:
            next_new = wait_for(lambda: next((s for s in steps()[count:] if s[0] > furthest), None), process, HUNG_S)
        except Timeout:
            hung += 1
            print(f"torchrun, checkpoint every {every}: no step for {HUNG_S} s", flush=True)
            stop()
            process = start()
            continue
        recoveries.append(next_new[1] - killed - step_s)
        again.append(sum(1 for s in steps()[count:] if s[0] <= furthest))
        print(f"torchrun, checkpoint every {every}: recovery {recoveries[-1]:.3f} s, {again[-1]} steps again", flush=True)
    stop()
    return {"recoveries": recoveries, "again": again, "step": statistics.median(times), "hung": hung}


def row(name, recoveries, lost):
    if not recoveries:
        return f"| {name} | 0 | | | |"
    return f"| {name} | {len(recoveries)} | {statistics.median(recoveries):.3f} | {max(recoveries):.3f} | {lost} |"


def page(arguments, step_s, ours, scheduler, theirs):
    commit = report.said_by(["git", "-C", str(HERE), "describe", "--always", "--dirty"])
    version = report.said_by([arguments.torchrun.parent / "python", "-c", "import torch; print(torch.__version__)"])
    lines = [
        "# Recovery",
        "",
        f"{datetime.date.today()}, Convoy {commit}, engine {arguments.engine}, PyTorch {version}; {report.machine()}.",
        "",
        f"GPT 6×384, {WORKERS} workers of one thread, {BATCH} samples of {WORKLOAD['context']} tokens a step. Recovery "
        "is the time from SIGKILL to the next committed step (torchrun: that had not been done before), less one "
        "undisturbed step with as many workers as are left. It may be less than nothing: the survivors keep what they "
        f"have of the step under way. One undisturbed step: {step_s[2]:.3f} s with 2 workers, {step_s[3]:.3f} s with "
        f"3. PyTorch's checkpoint is written by rank 0 while the others wait, every step or every tenth.",
        "",
        "| killed | times | median, s | worst, s | steps done again |",
        "| --- | ---: | ---: | ---: | ---: |",
        row("Convoy, a worker", ours, "0"),
    ]
    for every, their in theirs.items():
        again = f"{statistics.mean(their['again'] or [0]):.1f} a kill"
        if their["hung"]:
            again += f"; {their['hung']} times its workers hung for more than {HUNG_S} s"
        lines.append(row(f"torchrun, a worker; checkpoint every {every} (step {their['step']:.3f} s)", their["recoveries"],
                         again))
    lines += [
        "",
        f"With the scheduler killed {arguments.scheduler_kills} times in {scheduler['steps']} steps the slowest step took "
        f"{scheduler['worst']:.3f} s, {scheduler['worst'] / scheduler['median']:.2f} times the median of "
        f"{scheduler['median']:.3f} s.",
        "",
        "Made by `benchmarks/recovery/recovery.py`.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--scheduler-kills", type=int, default=3)
    parser.add_argument("--peer-kills", type=int, default=5, help="0: Convoy alone")
    parser.add_argument("--engine", default="local", choices=("local", "gloo"))
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parents[1] / "build/release/convoy")
    parser.add_argument("--torchrun", type=pathlib.Path, default=pathlib.Path("torchrun"))
    parser.add_argument("--markdown", type=pathlib.Path, help="write the page to this file too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        step_s = {workers: undisturbed_step(arguments, folder, workers) for workers in (1, 2, 3)}
        ours = kill_workers(arguments, folder, step_s)
        scheduler = kill_schedulers(arguments, folder)
        theirs = {every: torchrun(arguments, folder, every) for every in (1, 10) if arguments.peer_kills > 0}
    text = page(arguments, step_s, ours, scheduler, theirs)
    print("\n" + text)
    if arguments.markdown:
        arguments.markdown.parent.mkdir(parents=True, exist_ok=True)
        arguments.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
