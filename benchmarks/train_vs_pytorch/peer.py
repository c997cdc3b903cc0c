"""PyTorch's side: trains one workload and prints a JSON line with each step's milliseconds and the peak memory."""
import argparse
import json
import pathlib
import resource
import sys
import time

import torch
import torch.nn.functional as F

from workloads import WORKLOADS

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"))
import models  # noqa: E402


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def random_batch(workload, generator):
    batch = workload["batch"]
    if workload["data"] == "tokens":
        ids = torch.randint(workload["vocabulary"], (batch, workload["context"] + 1), generator=generator)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    shape = (32, 32, 3) if workload["data"] == "cifar" else (28, 28, 1)
    return torch.randn((batch, *shape), generator=generator), torch.randint(10, (batch,), generator=generator)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--precision", choices=["fp32", "bf16"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--cast", action="store_true", help="bf16: all of the model, not autocast over fp32 weights")
    parser.add_argument("--steps", type=int, help="other than the workload's")
    parser.add_argument("--warm-up", type=int, default=3)
    arguments = parser.parse_args()
    workload = WORKLOADS[arguments.workload]
    torch.set_num_threads(arguments.threads)
    imported = peak_bytes()

    kind, options = workload["torch"]
    model = getattr(models, kind)(**options)
    if kind == "ResNet18":
        model = model.to(memory_format=torch.channels_last)
    half = arguments.precision == "bf16"
    if half and arguments.cast:
        model = model.to(torch.bfloat16)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if arguments.compile else model
    generator = torch.Generator().manual_seed(1)
    batches = [random_batch(workload, generator) for _ in range(4)]
    if half and arguments.cast and workload["data"] != "tokens":
        batches = [(inputs.to(torch.bfloat16), targets) for inputs, targets in batches]

    times = []
    for step in range((arguments.steps or workload["steps"]) + arguments.warm_up):
        start = time.perf_counter()
        inputs, targets = batches[step % len(batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=half and not arguments.cast):
            logits = forward(inputs)
            loss = F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if workload["clip_norm"]:
            torch.nn.utils.clip_grad_norm_(parameters, workload["clip_norm"])
        optimizer.step()
        loss.item()
        times.append((time.perf_counter() - start) * 1e3)
    result = {"step_ms": times[arguments.warm_up :], "peak_bytes": peak_bytes(), "imported_bytes": imported}
    print(json.dumps(result | {"torch": torch.__version__}))


if __name__ == "__main__":
    main()
