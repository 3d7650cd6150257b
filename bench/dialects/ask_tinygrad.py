"""What tinygrad does, on the device that it chooses, or that the variable DEV names."""

# mypy: ignore-errors

import numpy as np
from tinygrad import Context, Device, Tensor, dtypes, nn

from bench.dialects import given, plain

Device.DEFAULT  # noqa: B018 (raises where there is no compiler for the processor, such as clang)


def three_steps(start=0.0, rates=given.RATES, momentum=given.MOMENTUM, **settings):
    """The parameter after three steps at rates that are assigned."""
    p = Tensor([start])
    optimizer = nn.optim.SGD([p], lr=rates[0], momentum=momentum, **settings)
    with Context(TRAINING=1):
        for rate in rates:
            optimizer.lr.assign(Tensor([rate]))
            optimizer.zero_grad()
            p.sum().backward()
            optimizer.step()
    return p.item()


def plain_momentum():
    """`nn.optim.SGD(momentum=0.9)`."""
    return three_steps()


def nesterov_momentum():
    """`nn.optim.SGD(momentum=0.9, nesterov=True)`; with `classic=True` the rate is inside."""
    return three_steps(nesterov=True)


def assigned_rate():
    """`optimizer.lr.assign(Tensor([rate]))`."""
    return three_steps(rates=(0.1, 0.01), momentum=0.0) / -0.1 - 1


def decay_unasked():
    """`nn.optim.SGD(lr=1)`."""
    p = Tensor([1.0])
    optimizer = nn.optim.SGD([p], lr=1.0)
    with Context(TRAINING=1):
        (0 * p).sum().backward()
        optimizer.step()
    return 1 - p.item()


def weight_decay():
    """`nn.optim.SGD(momentum=0.9, weight_decay=0.1)`."""
    return three_steps(start=1.0, weight_decay=given.DECAY)


def short_last_batch():
    """`sparse_categorical_crossentropy` of each batch, `nn.optim.SGD`."""
    logits, rate = Tensor([0.0, 0.0]), 1e-3
    optimizer = nn.optim.SGD([logits], lr=rate)
    with Context(TRAINING=1):
        for n in (3, 1):
            optimizer.zero_grad()
            logits.expand(n, 2).sparse_categorical_crossentropy(Tensor([1] * n)).backward()
            optimizer.step()
    return logits.numpy()[1] / (0.5 * rate)


def hopeless_image():
    """`sparse_categorical_crossentropy`."""
    logits = Tensor([[given.HOPELESS, 0.0]])
    logits.sparse_categorical_crossentropy(Tensor([1])).backward()
    return logits.grad.numpy()[0, 1]


def cost_epsilon():
    """`sparse_categorical_crossentropy`."""
    return Tensor([[given.HOPELESS, 0.0]]).sparse_categorical_crossentropy(Tensor([1])).item()


def gradient(function, values=(0.0,)):
    """The gradient of a function of some numbers."""
    x = Tensor(list(values))
    function(x).sum().backward()
    return x.grad.numpy()


def relu_at_zero():
    """`relu`."""
    return gradient(lambda x: x.relu())


def maximum_at_zero():
    """`x.maximum(0)`."""
    return gradient(lambda x: x.maximum(0))


def maximum_at_zero_as_contract():
    """Write `x.relu()`."""
    return gradient(lambda x: x.relu())


def reversed_maximum_at_zero():
    """`Tensor([0.0]).maximum(x)`."""
    return gradient(lambda x: Tensor([0.0]).maximum(x))


def reversed_maximum_at_zero_as_contract():
    """Write `x.relu()`."""
    return gradient(lambda x: x.relu())


def clip_at_zero():
    """`x.clip(min_=0)`."""
    return gradient(lambda x: x.clip(min_=0))


def clip_at_zero_as_contract():
    """Write `x.relu()`."""
    return gradient(lambda x: x.relu())


def where_at_zero():
    """`(x > 0).where(x, 0)`."""
    return gradient(lambda x: (x > 0).where(x, 0))


def ties_in_max():
    """`x.max()`."""
    return gradient(lambda x: x.max(), (1.0, 1.0, 0.0, 1.0))


def ties_in_argmax():
    """`argmax`."""
    return Tensor([0.0, 1.0, 1.0]).argmax().item()


def bytes_times_floats():
    """`images.dot(weights)`."""
    images, weights = given.few_bytes(), given.weights(given.OUTPUTS)
    product = Tensor(images).dot(Tensor(weights)).numpy()
    return product.dtype.name, plain.correct_bits(product, images.astype(float) @ weights)


def sum_of_bytes():
    """`sum()`."""
    return Tensor(given.many_bytes()).sum().item()


def sum_of_bytes_as_contract():
    """Give `sum` a `dtype=dtypes.int64`."""
    return Tensor(given.many_bytes()).sum(dtype=dtypes.int64).item()


def mean_in_float32():
    """`mean()`."""
    return Tensor(given.many_floats()).mean().item()


def float64_kept():
    """`2 * Tensor(array)`."""
    return (2 * Tensor(np.ones(3))).numpy().dtype.name


def denormals():
    """`a * b`."""
    return float((Tensor(np.float32([1e-30])) * Tensor(np.float32([1e-10]))).item()) / 1e-40


def row_alone():
    """`images.dot(weights)`, the first eight rows alone."""
    images, weights = given.images(), Tensor(given.weights())
    alone = np.concatenate([Tensor(images[i : i + 1]).dot(weights).numpy() for i in range(8)])
    return plain.of_other_bits(Tensor(images).dot(weights).numpy()[:8], alone)


def equal_rows():
    """`images.dot(weights)`."""
    product = Tensor(given.equal_images()).dot(Tensor(given.weights(given.OUTPUTS))).numpy()
    return plain.of_other_bits(product, product[:1])


def dense_start():
    """`nn.Linear(784, 128)`."""
    Tensor.manual_seed(0)
    layer = nn.Linear(given.INPUTS, given.HIDDEN)
    return plain.described_start(layer.weight.numpy(), layer.bias.numpy())


def dense_start_as_contract():
    """Assign `layer.weight = Tensor.kaiming_normal(128, 784, a=0)` and zeros to `layer.bias`."""
    Tensor.manual_seed(0)
    layer = nn.Linear(given.INPUTS, given.HIDDEN)
    layer.weight = Tensor.kaiming_normal(given.HIDDEN, given.INPUTS, a=0)
    layer.bias = Tensor.zeros(given.HIDDEN)
    return plain.described_start(layer.weight.numpy(), layer.bias.numpy())
