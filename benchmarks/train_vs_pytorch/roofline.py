"""The least time a step of a workload can take on this machine, from oneDNN's own rates and the memory's.

Products and convolutions: their time when oneDNN alone runs them (benchmark_roofline), forward and both gradients.
Everything else: the bytes it must move at the memory's measured rate, each tensor read or written once by each
operator that needs it (element-wise operators on one tensor fused with the product before them).
"""

def gemms(precision, m, n, k, count, input_gradient=True):
    """A linear layer's products: forward, weight gradient, input gradient."""
    lines = [f"gemm {precision} {m} {n} {k} {count}", f"gemm {precision} {k} {n} {m} {count}"]
    return lines + ([f"gemm {precision} {m} {k} {n} {count}"] if input_gradient else [])


def parameter_bytes(parameters):
    """Gradient written and read for its norm, AdamW: parameter, moments read and written, gradient read."""
    return (8 + 28) * parameters


def gpt(options, batch, context, precision, width_bytes):
    layers, heads, width = options["layers"], options["heads"], options["width"]
    vocabulary, rows, depth = options["vocabulary"], batch * context, options["width"] // options["heads"]
    lines = []
    for inner, outer in ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)):
        lines += gemms(precision, rows, outer, inner, layers)
    # Causal attention: of 2 products forward and 5 backward, half the scores.
    pairs = layers * batch * heads * 0.5
    lines += [f"gemm {precision} {context} {context} {depth} {3 * pairs}"]
    lines += [f"gemm {precision} {context} {depth} {context} {4 * pairs}"]
    lines += gemms(precision, rows, vocabulary, width, 1)
    # A layer: two norms (forward 2, backward 3 tensors of the width) and two residual sums (3), all as read or written.
    activations = layers * rows * width * (2 * 5 + 2 * 3) + rows * vocabulary * 3
    parameters = layers * 12 * width * width + (vocabulary + context) * width
    return lines + [f"bytes {activations * width_bytes + parameter_bytes(parameters)}"]


def resnet18(options, batch, precision, width_bytes):
    lines, elements = [], 0
    size, inputs, width = 32, options["channels"], options["width"]
    parameters = 0

    def convolution(inner, outer, kernel, stride, at):
        nonlocal elements, parameters
        lines.append(f"conv {precision} {batch} {at} {at} {inner} {outer} {kernel} {stride} 1")
        # Batch norm with ReLU: statistics and output forward (3), sums and gradient backward (5).
        elements += batch * (at // stride) ** 2 * outer * 8
        parameters += inner * outer * kernel * kernel

    convolution(inputs, width, 3, 1, size)
    inputs = width
    for stage in range(4):
        outputs = width << stage
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            convolution(inputs, outputs, 3, stride, size)
            if stride == 2:
                convolution(inputs, outputs, 1, stride, size)
            size //= stride
            convolution(outputs, outputs, 3, 1, size)
            elements += batch * size * size * outputs * 2  # the shortcut, read forward and its gradient backward
            inputs = outputs
    lines += gemms(precision, batch, options["classes"], inputs, 1)
    return lines + [f"bytes {elements * width_bytes + parameter_bytes(parameters)}"]


def mlp(options, batch, precision, width_bytes):
    sizes = [options["inputs"], *options["hidden"], options["classes"]]
    lines, parameters = [], 0
    for i, (inner, outer) in enumerate(zip(sizes, sizes[1:])):
        lines += gemms(precision, batch, outer, inner, 1, input_gradient=i > 0)
        parameters += inner * outer
    return lines + [f"bytes {batch * sum(sizes) * 3 * width_bytes + parameter_bytes(parameters)}"]


def least_ms(program, workload, precision, threads, launch):
    """`launch(command, threads, text)` runs a command on that many cores with `text` as its input."""
    kind, options = workload["torch"]
    one = "bf16" if precision == "bf16" else "f32"
    width_bytes = 2 if precision == "bf16" else 4
    if kind == "Gpt":
        lines = gpt(options, workload["batch"], workload["context"], one, width_bytes)
    else:
        lines = {"ResNet18": resnet18, "Mlp": mlp}[kind](options, workload["batch"], one, width_bytes)
    output = launch([program, str(threads)], threads, "\n".join(lines) + "\n")
    return sum(float(line.split()[0]) for line in output.splitlines())
