"""The golden models in plain PyTorch, with the names under which Convoy keeps their parameters."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, classes):
        super().__init__()
        sizes = [inputs, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class GptBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = (
            part.view(batch, time, self.heads, -1).transpose(1, 2)
            for part in self.attn["c_attn"](self.ln_1(x)).split(width, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn["c_proj"](y.transpose(1, 2).reshape(batch, time, width))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """GPT-2: learned positions, layer norm before each branch, the head tied to the token embedding."""

    def __init__(self, layers, heads, width, context, vocabulary):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.wpe = nn.Embedding(context, width)
        self.h = nn.ModuleList(GptBlock(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


def rotate(x, theta):
    """Rotary positions of [batch, heads, time, depth], the halves of depth being the pairs (Su et al. 2021, as Llama)."""
    time, half = x.shape[2], x.shape[3] // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.arange(time, dtype=torch.float64)[:, None] * frequencies
    cos, sin = angles.cos().to(torch.float32), angles.sin().to(torch.float32)
    a, b = x.float()[..., :half], x.float()[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=3).to(x.dtype)


class LlamaLayer(nn.Module):
    def __init__(self, width, heads, kv_heads, mlp_width, theta):
        super().__init__()
        depth = width // heads
        self.heads, self.kv_heads, self.theta = heads, kv_heads, theta
        self.input_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(width, heads * depth, bias=False),
                "k_proj": nn.Linear(width, kv_heads * depth, bias=False),
                "v_proj": nn.Linear(width, kv_heads * depth, bias=False),
                "o_proj": nn.Linear(heads * depth, width, bias=False),
            }
        )
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(width, mlp_width, bias=False),
                "up_proj": nn.Linear(width, mlp_width, bias=False),
                "down_proj": nn.Linear(mlp_width, width, bias=False),
            }
        )

    def forward(self, x):
        batch, time, _ = x.shape
        h = self.input_layernorm(x)
        q = self.self_attn["q_proj"](h).view(batch, time, self.heads, -1).transpose(1, 2)
        k = self.self_attn["k_proj"](h).view(batch, time, self.kv_heads, -1).transpose(1, 2)
        v = self.self_attn["v_proj"](h).view(batch, time, self.kv_heads, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(
            rotate(q, self.theta), rotate(k, self.theta), v, is_causal=True, enable_gqa=True
        )
        x = x + self.self_attn["o_proj"](y.transpose(1, 2).reshape(batch, time, -1))
        h = self.post_attention_layernorm(x)
        return x + self.mlp["down_proj"](F.silu(self.mlp["gate_proj"](h)) * self.mlp["up_proj"](h))


class Llama(nn.Module):
    def __init__(self, layers, heads, kv_heads, width, mlp_width, vocabulary, theta):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, kv_heads, mlp_width, theta) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


def normalise(norm, x, shortcut=None):
    """norm(x) + shortcut, as PyTorch rounds it in bf16: after each of the two."""
    y = norm(x)
    return y if shortcut is None else y + shortcut


def normalise_rounding_once(norm, x, shortcut=None):
    """The same in fp32 and rounded once, as kernels do that fuse the two."""
    y = norm(x.float())
    return (y if shortcut is None else y + shortcut.float()).to(x.dtype)


class ResNetBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, normalise):
        super().__init__()
        self.normalise = normalise
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = self.normalise(self.downsample[1], self.downsample[0](x)) if hasattr(self, "downsample") else x
        y = F.relu(self.normalise(self.bn1, self.conv1(x)))
        return F.relu(self.normalise(self.bn2, self.conv2(y), shortcut))


class ResNet18(nn.Module):
    """He et al. 2015 with the stem for small pictures; [batch, height, width, channels] as Convoy reads them."""

    def __init__(self, width, channels, classes, normalise=normalise):
        super().__init__()
        self.normalise = normalise
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for i in range(4):
            outputs = width << i
            blocks = [
                ResNetBlock(inputs, outputs, 2 if i > 0 else 1, normalise),
                ResNetBlock(outputs, outputs, 1, normalise),
            ]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = x.permute(0, 3, 1, 2)
        x = F.relu(self.normalise(self.bn1, self.conv1(x)))
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean(dim=(2, 3)))


def convoy_layout(module_type, name, tensor):
    """What Convoy calls a parameter's tensor: weights of linear layers are kept as [in, out]."""
    return tensor.t() if module_type is nn.Linear and name == "weight" else tensor


def named_tensors(model, of):
    """(Convoy's name, of(parameter) in Convoy's layout) for every parameter, tied ones once."""
    result = {}
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            tensor = convoy_layout(type(module), name, of(parameter))
            result[f"{prefix}.{name}" if prefix else name] = tensor.detach().contiguous().clone()
    return result


def initialize(model, seed):
    """Weights large enough for every part of the model to matter from the first step on."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                # Few units of a residual network near zero: there the least rounding decides whether they are cut off.
                start = 1.0 if name == "weight" or isinstance(module, nn.BatchNorm2d) else 0.0
                parameter.data.copy_(start + 0.1 * noise)
            else:
                fan_in = parameter[0].numel() if not isinstance(module, nn.Embedding) else 16
                parameter.data.copy_(noise / math.sqrt(fan_in))


def keep_off_zero(model):
    """Moves what rectifiers read away from zero, half of it to either side, for gradients that compare in bf16.

    Which units of a deep network are cut off hangs on the last bits: with these weights as they were, another order of
    summation alone, in PyTorch, moved the bf16 gradients of a tensor by 6 % in the median and by 25 % at most; so moved,
    by 0.3 % at most.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data *= 0.5
            module.bias.data += 2.0
            module.bias.data[1::2] -= 6.0
