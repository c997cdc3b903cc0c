"""Exported models compute what Convoy computes: arguments are the programs convoy, onnx_cases, onnx_check, and a folder.

Every operator's cases and a trained model of each kind are exported and given to ONNX's own checker; then onnxruntime
runs them, and its outputs are compared with ours. Without onnxruntime only the checker sees them (exit code 77:
skipped).
"""

import json
import pathlib
import shutil
import subprocess
import sys

try:
    import numpy
    import onnxruntime
except ImportError:
    onnxruntime = None

TOLERANCE = 1e-4

TRAIN = """
[optimizer]
kind = "adamw"
lr = 1e-2
[train]
steps = 6
global_batch = 8
logical_shards = 4
"""
DIGITS = '[data]\nkind = "mnist"\npath = "digits"\n'
TEXT = '[data]\nkind = "text"\npath = "text.txt"\ncontext = 24\n'
GPT = '[model]\nkind = "gpt"\nlayers = 2\nheads = 4\nwidth = 32\n'
LLAMA = 'norm = "rms"\nactivation = "swiglu"\npositions = "rotary"\nbias = false\nmlp_width = 48\n'
MODELS = {
    "mlp": '[model]\nkind = "mlp"\nhidden = [32, 16]\nactivation = "gelu"\n' + DIGITS,
    "mlp-relu-bf16": '[model]\nkind = "mlp"\nhidden = [32]\n' + DIGITS + TRAIN + 'precision = "bf16"\n',
    "resnet-small-stem": '[model]\nkind = "resnet"\nlayers = 18\nwidth = 4\n' + DIGITS,
    "resnet-bottlenecks": '[model]\nkind = "resnet"\nlayers = 50\nwidth = 2\nstem = "imagenet"\n' + DIGITS,
    "gpt": GPT + TEXT,
    "gpt-grouped-bf16": GPT + "kv_heads = 2\n" + TEXT + TRAIN + 'precision = "bf16"\n',
    "gpt-rotary": GPT + 'positions = "rotary"\nhead = "own"\n' + TEXT,
    "llama": GPT + "kv_heads = 2\n" + LLAMA + TEXT,
}


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def call(*words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=200, **options)
    expect(done.returncode == 0, f"{' '.join(map(str, words[:3]))}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def read_safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    types = {"F32": numpy.float32, "F64": numpy.float64, "I32": numpy.int32, "I64": numpy.int64}
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = numpy.frombuffer(data[begin:end], types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def as_input(values):
    return values.astype(numpy.int64) if values.dtype == numpy.int32 else values


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def compare(what, actual, expected):
    expect(actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}")
    error = numpy.abs(actual.astype(numpy.float64) - expected) / (1 + numpy.abs(expected))
    worst = float(error.max())
    expect(worst <= TOLERANCE, f"{what}: differs by {worst:.3g}")
    return worst


def run_case(folder):
    values = read_safetensors(folder / "values.safetensors")
    session = session_of(folder / "model.onnx")
    inputs = {one.name: as_input(values[one.name]) for one in session.get_inputs()}
    outputs = [one.name for one in session.get_outputs()]
    for name, actual in zip(outputs, session.run(outputs, inputs)):
        compare(f"{folder.name} {name}", actual, values[name])


def export(program, cases, folder, name, recipe):
    (folder / f"{name}.toml").write_text(recipe if "[train]" in recipe else recipe + TRAIN)
    run = f"run-{name}"
    call(program, "train", f"{name}.toml", "--run", run, cwd=folder)
    print(call(program, "export", run, "--onnx", f"{name}.onnx", cwd=folder).strip())
    call(cases, "logits", run, f"{name}.safetensors", cwd=folder)


def run_outside(folder, name):
    """Weights in a file of their own are those that the model holds otherwise."""
    values = read_safetensors(folder / f"{name}.safetensors")
    session = session_of(folder / "outside.onnx")
    compare("weights outside", session.run(["logits"], {"input": as_input(values["0.inputs"])})[0], values["0.logits"])


def loss_of(logits, targets):
    rows, flat = logits.reshape(-1, logits.shape[-1]).astype(numpy.float64), targets.reshape(-1)
    rows, flat = rows[flat >= 0], flat[flat >= 0]
    high = rows.max(axis=1, keepdims=True)
    sums = numpy.log(numpy.exp(rows - high).sum(axis=1)) + high[:, 0]
    right = int((rows.argmax(axis=1) == flat).sum())
    return float((sums - rows[numpy.arange(len(flat)), flat]).sum()), right, len(flat)


def run_model(program, folder, name, recipe):
    session = session_of(folder / f"{name}.onnx")
    expect([one.name for one in session.get_inputs()] == ["input"], f"{name}: one input called input")
    expect([one.name for one in session.get_outputs()] == ["logits"], f"{name}: one output called logits")
    expect(session.get_inputs()[0].shape[0] == "batch", f"{name}: an open batch")
    metadata = session.get_modelmeta().custom_metadata_map
    expect(metadata["convoy.step"] == "6" and "[model]" in metadata["convoy.recipe"], f"{name}: metadata {metadata}")
    values = read_safetensors(folder / f"{name}.safetensors")
    batches = sorted(int(key.split(".")[0]) for key in values if key.endswith(".inputs"))
    totals, worst = numpy.zeros(3), 0.0
    for batch in batches:
        inputs, targets = as_input(values[f"{batch}.inputs"]), values[f"{batch}.targets"]
        expected = values[f"{batch}.logits"]
        actual = session.run(["logits"], {"input": inputs})[0]
        worst = max(worst, compare(f"{name} batch {batch}", actual, expected))
        totals += loss_of(actual, targets)
        if batch > 0:
            continue
        for sizes in ([1], [len(inputs)] * 3):  # other numbers of samples
            many = numpy.concatenate([inputs[:size] for size in sizes])
            alike = numpy.concatenate([expected[:size] for size in sizes])
            compare(f"{name}, {len(many)} samples", session.run(["logits"], {"input": many})[0], alike)
        if inputs.dtype == numpy.int64:  # a shorter text: what follows does not change what came before
            for length in (1, 2, 13, inputs.shape[1]):
                short = session.run(["logits"], {"input": inputs[:, :length]})[0]
                compare(f"{name}, {length} tokens", short, expected[:, :length])
    line = json.loads(call(program, "eval", f"run-{name}", "--json", cwd=folder))
    if "bf16" not in recipe:  # the file computes in f32
        loss, accuracy = totals[0] / totals[2], totals[1] / totals[2]
        expect(abs(loss - line["eval_loss"]) <= TOLERANCE, f"{name}: loss {loss}, convoy eval {line['eval_loss']}")
        expect(abs(accuracy - line["eval_accuracy"]) <= TOLERANCE, f"{name}: accuracy {accuracy}")
    print(f"{name}: {len(batches)} batches agree to {worst:.2g}, loss {totals[0] / totals[2]:.6f}")


def main():
    program, cases, check, folder = (pathlib.Path(word).absolute() for word in sys.argv[1:5])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    call(cases, "operators", folder / "operators")
    call(cases, "data", folder)
    for name, recipe in MODELS.items():
        export(program, cases, folder, name, recipe)
    call(cases, "outside", "run-llama", "outside.onnx", cwd=folder)
    expect((folder / "outside.onnx.data").stat().st_size > 10000, "weights beside the model")
    models = sorted(folder.rglob("*.onnx"))
    call(check, *models)
    print(f"ONNX's checker accepts {len(models)} models")
    if onnxruntime is None:
        print("skipped: there is no onnxruntime package here, so that nothing was run")
        sys.exit(77)
    for case in sorted((folder / "operators").iterdir()):
        run_case(case)
    for name, recipe in MODELS.items():
        run_model(program, folder, name, recipe)
    run_outside(folder, "llama")


main()
