"""PyTorch's side: DistributedDataParallel over gloo under torchrun, which starts all workers anew when one dies.

Rank 0 writes a checkpoint every --every steps, and a line "STEP TIME" a step to FOLDER/steps; each worker leaves its pid
in FOLDER/pid-RANK.
"""
import argparse
import os
import pathlib
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "golden"))
sys.path.insert(0, str(HERE.parent / "train_vs_pytorch"))
import models  # noqa: E402
from workloads import WORKLOADS  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="of all workers together")
    parser.add_argument("--every", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    (arguments.folder / f"pid-{rank}").write_text(str(os.getpid()))

    workload = WORKLOADS["gpt-6x384"]
    model = models.Gpt(**workload["torch"][1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    checkpoint = arguments.folder / "checkpoint"
    done = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["step"]
    parallel = torch.nn.parallel.DistributedDataParallel(model)

    shape = (arguments.batch // world, workload["context"] + 1)
    for step in range(done + 1, arguments.steps + 1):
        ids = torch.randint(workload["vocabulary"], shape, generator=torch.Generator().manual_seed(step * world + rank))
        loss = F.cross_entropy(parallel(ids[:, :-1]).flatten(0, -2), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), workload["clip_norm"])
        optimizer.step()
        loss.item()
        if rank != 0:
            continue
        with open(arguments.folder / "steps", "a", encoding="utf-8") as file:
            file.write(f"{step} {time.time()}\n")
        if step % arguments.every == 0:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, checkpoint.with_suffix(".partial"))
            os.replace(checkpoint.with_suffix(".partial"), checkpoint)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
