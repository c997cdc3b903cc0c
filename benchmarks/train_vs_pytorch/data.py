"""Random data in the formats that Convoy reads: what a step costs does not depend on it."""
import struct

import numpy


def section(folder, workload):
    """Writes the data of a workload once and returns its lines of the recipe's [data]."""
    return {"tokens": tokens, "cifar": cifar, "mnist": mnist}[workload["data"]](folder, workload)


def tokens(folder, workload):
    vocabulary, context = workload["vocabulary"], workload["context"]
    path = folder / f"tokens-{vocabulary}"
    if not path.exists():
        path.mkdir()
        random = numpy.random.default_rng(1)
        for name, windows in (("train.bin", 64), ("val.bin", 4)):
            random.integers(vocabulary, size=windows * context + 1, dtype=numpy.uint16).tofile(path / name)
    return f'kind = "tokens"\npath = "{path}"\ncontext = {context}\nvocabulary = {vocabulary}\n'


def cifar(folder, _):
    path = folder / "cifar"
    if not path.exists():
        path.mkdir()
        random = numpy.random.default_rng(1)
        for name, count in [(f"data_batch_{i}.bin", 200) for i in range(1, 6)] + [("test_batch.bin", 64)]:
            rows = random.integers(256, size=(count, 3073), dtype=numpy.uint8)
            rows[:, 0] %= 10
            rows.tofile(path / name)
    return f'kind = "cifar"\npath = "{path}"\n'


def mnist(folder, _):
    path = folder / "mnist"
    if not path.exists():
        path.mkdir()
        random = numpy.random.default_rng(1)
        for prefix, count in (("train", 6000), ("t10k", 128)):
            pixels = random.integers(256, size=(count, 28, 28), dtype=numpy.uint8)
            labels = random.integers(10, size=count, dtype=numpy.uint8)
            images = struct.pack(">IIII", 0x803, count, 28, 28) + pixels.tobytes()
            (path / f"{prefix}-images-idx3-ubyte").write_bytes(images)
            (path / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
    return f'kind = "mnist"\npath = "{path}"\n'
