#!/usr/bin/env python3
"""Writes tests/golden/*.safetensors: what PyTorch computes from given weights and batches, for golden_test.cpp.

    pip install torch safetensors numpy
    tests/golden/generate.py

Each file holds the weights (those that are others for bf16 a second time), the batches, and for fp32 and bf16 (autocast)
the losses of the first steps, the gradients of the first step and the running statistics after the last one. Its
metadata: the recipe, the number of classes, PyTorch's version.
"""
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import models

STEPS = 20
FOLDER = pathlib.Path(__file__).parent


def tokens(seed, batches, batch, context, vocabulary):
    """Text with something to learn: each token follows from the one before, most of the time."""
    generator = torch.Generator().manual_seed(seed)
    follow = torch.randperm(vocabulary, generator=generator)
    ids = torch.randint(vocabulary, (batches, batch, context + 1), generator=generator)
    for t in range(context):
        known = torch.rand(ids.shape[:2], generator=generator) < 0.8
        ids[:, :, t + 1] = torch.where(known, follow[ids[:, :, t]], ids[:, :, t + 1])
    return ids[:, :, :-1].contiguous(), ids[:, :, 1:].contiguous()


def pictures(seed, batches, batch, shape, classes):
    """A pattern of its own for each class, in noise."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.randn((classes, *shape), generator=generator)
    targets = torch.randint(classes, (batches, batch), generator=generator)
    return patterns[targets] + torch.randn((batches, batch, *shape), generator=generator), targets


ADAMW = dict(kind="adamw", lr=1e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1)
SGD = dict(kind="sgd", lr=0.001, momentum=0.9, weight_decay=5e-4)

CASES = {
    "mlp": dict(
        model=lambda: models.Mlp(64, [32, 32], 10),
        recipe=dict(kind="mlp", hidden=[32, 32]),
        batches=lambda: pictures(1, 4, 16, (8, 8, 1), 10),
        classes=10,
        optimizer=ADAMW,
    ),
    "gpt": dict(
        model=lambda: models.Gpt(2, 2, 32, 16, 61),
        recipe=dict(kind="gpt", layers=2, heads=2, width=32),
        batches=lambda: tokens(2, 4, 8, 16, 61),
        classes=61,
        optimizer=ADAMW,
    ),
    "llama": dict(
        model=lambda: models.Llama(1, 4, 2, 32, 64, 61, 10000.0),
        recipe=dict(
            kind="gpt", layers=1, heads=4, kv_heads=2, width=32, mlp_width=64, norm="rms", activation="swiglu",
            positions="rotary", rope_theta=10000.0, head="own", bias=False,
        ),
        batches=lambda: tokens(3, 4, 8, 24, 61),
        classes=61,
        optimizer=ADAMW,
    ),
    "resnet": dict(
        model=lambda: models.ResNet18(4, 3, 10, models.normalise_rounding_once),
        recipe=dict(kind="resnet", layers=18, width=4, stem="small"),
        batches=lambda: pictures(4, 4, 16, (16, 16, 3), 10),
        classes=10,
        optimizer=SGD,
        before_bf16=models.keep_off_zero,
    ),
}


def make_optimizer(model, settings):
    """Weight decay on matrices, filters and embeddings only."""
    groups = [
        dict(params=[p for p in model.parameters() if p.dim() > 1], weight_decay=settings["weight_decay"]),
        dict(params=[p for p in model.parameters() if p.dim() <= 1], weight_decay=0.0),
    ]
    if settings["kind"] == "sgd":
        return torch.optim.SGD(groups, lr=settings["lr"], momentum=settings["momentum"])
    betas = (settings["beta1"], settings["beta2"])
    return torch.optim.AdamW(groups, lr=settings["lr"], betas=betas, eps=settings["epsilon"])


def train(model, settings, inputs, targets, bf16):
    """The losses of STEPS steps, the first gradients, and the buffers at the end."""
    optimizer = make_optimizer(model, settings)
    losses, gradients = [], None
    for step in range(STEPS):
        batch = step % inputs.shape[0]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(inputs[batch])
        loss = F.cross_entropy(logits.float().flatten(0, -2), targets[batch].flatten())
        optimizer.zero_grad()
        loss.backward()
        if gradients is None:
            gradients = models.named_tensors(model, lambda p: p.grad)
        optimizer.step()
        losses.append(loss.item())
    buffers = {name: b.clone() for name, b in model.named_buffers() if not name.endswith("num_batches_tracked")}
    return torch.tensor(losses, dtype=torch.float64), gradients, buffers


def toml(settings):
    def value(v):
        return str(v).lower() if isinstance(v, bool) else f'"{v}"' if isinstance(v, str) else str(v)

    return "".join(f"{key} = {value(v)}\n" for key, v in settings.items())


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, case in CASES.items():
        inputs, targets = case["batches"]()
        contents = {}
        for precision in ("fp32", "bf16"):
            model = case["model"]()
            models.initialize(model, seed=7)
            if precision == "fp32":
                contents |= {f"parameters/{k}": v for k, v in models.named_tensors(model, lambda p: p).items()}
            elif "before_bf16" in case:
                case["before_bf16"](model)
                changed = {k: v for k, v in models.named_tensors(model, lambda p: p).items()
                           if not v.equal(contents[f"parameters/{k}"])}
                contents |= {f"parameters.bf16/{k}": v for k, v in changed.items()}
            losses, gradients, buffers = train(model, case["optimizer"], inputs, targets, precision == "bf16")
            contents[f"losses.{precision}"] = losses
            contents |= {f"gradients.{precision}/{k}": v for k, v in gradients.items()}
            contents |= {f"statistics.{precision}/{k}": v for k, v in buffers.items()}
            print(f"{name:8} {precision}: {losses[0]:.6f} … {losses[-1]:.6f}")
        contents["inputs"] = inputs.to(torch.int32) if inputs.dtype == torch.int64 else inputs
        contents["targets"] = targets.to(torch.int32)
        recipe = f"[model]\n{toml(case['recipe'])}[optimizer]\n{toml(case['optimizer'])}"
        metadata = {"recipe": recipe, "classes": str(case["classes"]), "torch": torch.__version__}
        path = FOLDER / f"{name}.safetensors"
        save_file({k: v.contiguous() for k, v in contents.items()}, path, metadata)
        print(f"{name:8} {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
