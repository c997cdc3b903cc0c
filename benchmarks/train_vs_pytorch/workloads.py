"""What both sides train: one entry a workload, as Convoy's recipe and as the arguments of PyTorch's model.

What a workload is `only` for it does not take part in otherwise, unless it is named.
"""

ADAMW = 'kind = "adamw"\nlr = 3e-4\nbeta1 = 0.9\nbeta2 = 0.95\nweight_decay = 0.1\n'

WORKLOADS = {
    "gpt-6x384": dict(
        batch=8, steps=8, data="tokens", context=256, vocabulary=256, clip_norm=1.0,
        model='kind = "gpt"\nlayers = 6\nheads = 6\nwidth = 384\n',
        torch=("Gpt", dict(layers=6, heads=6, width=384, context=256, vocabulary=256)),
    ),
    "gpt2-124m": dict(
        batch=4, steps=4, data="tokens", context=256, vocabulary=50257, clip_norm=1.0,
        model='kind = "gpt"\nlayers = 12\nheads = 12\nwidth = 768\n',
        torch=("Gpt", dict(layers=12, heads=12, width=768, context=256, vocabulary=50257)),
    ),
    "gpt2-124m-8": dict(
        only="memory", batch=8, steps=1, data="tokens", context=256, vocabulary=50257, clip_norm=1.0,
        model='kind = "gpt"\nlayers = 12\nheads = 12\nwidth = 768\n',
        torch=("Gpt", dict(layers=12, heads=12, width=768, context=256, vocabulary=50257)),
    ),
    "resnet18-32": dict(
        batch=64, steps=6, data="cifar", clip_norm=0.0,
        model='kind = "resnet"\nlayers = 18\nstem = "small"\n',
        torch=("ResNet18", dict(width=64, channels=3, classes=10)),
    ),
    "mlp-512": dict(
        batch=128, steps=150, data="mnist", clip_norm=0.0,
        model='kind = "mlp"\nhidden = [512, 512]\n',
        torch=("Mlp", dict(inputs=784, hidden=[512, 512], classes=10)),
    ),
}
