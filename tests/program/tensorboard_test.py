"""TensorBoard itself opens what a run leaves: arguments are the program and a folder to work in.

Needs the tensorboard package (exit code 77 without it: skipped). Loads the event files with TensorBoard's own
EventAccumulator, then starts its server and asks it for scalars, histograms and text.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print("skipped: there is no tensorboard package here")
    sys.exit(77)

RECIPE = """
[model]
kind = "gpt"
layers = 1
heads = 2
width = 16
[data]
kind = "text"
path = "text.txt"
context = 16
[optimizer]
kind = "lamb"
lr = 1e-2
[train]
steps = 12
global_batch = 8
logical_shards = 4
eval_every = 6
histogram_every = 4
"""


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def train(program, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "text.txt").write_text("".join(f"{i} sheep and one fence. " for i in range(400)))
    (folder / "recipe.toml").write_text(RECIPE)
    command = [program, "launch", "-n", "2", "--run", folder / "run", "--", "train", folder / "recipe.toml"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return folder / "run" / "tensorboard"


def check_accumulator(logs, metrics):
    accumulator = EventAccumulator(str(logs), size_guidance={"histograms": 0, "scalars": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    losses = accumulator.Scalars("train/loss")
    expect([event.step for event in losses] == list(range(1, 13)), "a loss for each step")
    for event, line in zip(losses, metrics):
        expect(abs(event.value - line["loss"]) < 1e-6 * abs(line["loss"]), f"the loss of step {event.step}")
    for tag in ("train/lr", "train/grad_norm", "speed/step_ms", "speed/comm_ms", "speed/tokens_per_s", "eval/loss"):
        expect(tag in tags["scalars"], f"scalars {tag} among {tags['scalars']}")
    expect([event.step for event in accumulator.Scalars("eval/accuracy")] == [6, 12], "two evaluations")
    names = {tag.split("/", 1)[1] for tag in tags["histograms"]}
    for name in names:
        for kind in ("weights", "gradients"):
            events = accumulator.Histograms(f"{kind}/{name}")
            expect([event.step for event in events] == [4, 8, 12], f"histograms of {name}")
            value = events[-1].histogram_value
            expect(sum(value.bucket) == value.num > 0, f"the buckets of {kind}/{name}")
    expect("wte.weight" in names, f"a histogram of wte.weight among {names}")
    return len(names)


def ask(address, path, **query):
    url = f"{address}data/{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def check_server(logs, parameters):
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--port", "0", "--load_fast", "false"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = None
        for line in server.stderr:
            if match := re.search(r"http://\S+/", line):
                address = match.group(0)
                break
        expect(address, "TensorBoard to start")
        deadline = time.monotonic() + 60
        while not ask(address, "runs") and time.monotonic() < deadline:
            time.sleep(0.2)
        scalars = ask(address, "plugin/scalars/scalars", run=".", tag="train/loss")
        expect([point[1] for point in scalars] == list(range(1, 13)), "the server's scalars")
        tags = ask(address, "plugin/histograms/tags")["."]
        expect(len(tags) == 2 * parameters, f"the server's histograms, among {list(tags)}")
        histograms = ask(address, "plugin/histograms/histograms", run=".", tag="weights/wte.weight")
        expect([point[1] for point in histograms] == [4, 8, 12], "the server's histograms")
        recipe = ask(address, "plugin/text/text", run=".", tag="recipe")
        expect(recipe[0]["step"] == 0 and "kind = \"lamb\"" in recipe[0]["text"].replace("&quot;", '"'), recipe)
        samples = ask(address, "plugin/text/text", run=".", tag="samples/held_out")
        expect([sample["step"] for sample in samples] == [6, 12], "text samples")
        expect("The model goes on" in samples[0]["text"], samples)
    finally:
        server.terminate()
        server.wait(20)


def main():
    program, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    logs = train(program, folder)
    metrics = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    parameters = check_accumulator(logs, metrics)
    check_server(logs, parameters)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
