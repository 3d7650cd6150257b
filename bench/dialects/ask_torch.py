"""What PyTorch does."""

# mypy: ignore-errors

import torch
import torch.nn.functional as F
from torch import nn

from bench.dialects import NotAsked, given, plain

ADVICE = {
    "equal_rows": "use nn.Linear, or pad 10 columns to 12; equal rows then have equal bits",
    "row_alone": "compare within a tolerance; from 32 images on a batch has the bits of a larger one",
}


def three_steps(start=0.0, rates=given.RATES, momentum=given.MOMENTUM, **settings):
    """The parameter after three steps at rates that are assigned."""
    p = nn.Parameter(torch.tensor([start]))
    optimizer = torch.optim.SGD([p], lr=rates[0], momentum=momentum, **settings)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
    return p.item()


def plain_momentum():
    """`optim.SGD(momentum=0.9)`."""
    return three_steps()


def nesterov_momentum():
    """`optim.SGD(momentum=0.9, nesterov=True)`."""
    return three_steps(nesterov=True)


def falling_rate():
    """`lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2], gamma=0.5)`."""
    p = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=given.RATES[0])
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 2], gamma=0.5)
    for _ in given.RATES:
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
        schedule.step()
    return p.item()


def assigned_rate():
    """`optimizer.param_groups[0]["lr"] = rate`."""
    return three_steps(rates=(0.1, 0.01), momentum=0) / -0.1 - 1


def decay_unasked():
    """`optim.SGD(lr=1)`."""
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], lr=1)
    (0 * p).sum().backward()
    optimizer.step()
    return 1 - p.item()


def weight_decay():
    """`optim.SGD(momentum=0.9, weight_decay=0.1)`."""
    return three_steps(start=1.0, weight_decay=given.DECAY)


def dampening():
    """`optim.SGD(momentum=0.9, dampening=0.5)`."""
    return three_steps(dampening=0.5)


def clipping():
    """`nn.utils.clip_grad_norm_(parameters, 1)`."""
    pair = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    (3 * pair[0] + 4 * pair[1]).sum().backward()
    nn.utils.clip_grad_norm_(pair, 1)
    return [p.grad.item() for p in pair]


def clipping_and_decay():
    """`clip_grad_norm_` before the step of `optim.SGD(weight_decay=0.1)`."""
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], lr=1, weight_decay=given.DECAY)
    (3 * p).sum().backward()
    nn.utils.clip_grad_norm_([p], 1)
    optimizer.step()
    return 1 - p.item()


def short_last_batch():
    """`F.cross_entropy` of each batch, `optim.SGD`."""
    logits, rate = nn.Parameter(torch.zeros(2)), 1e-3
    optimizer = torch.optim.SGD([logits], lr=rate)
    labels = torch.ones(4, dtype=torch.long)
    for batch in labels.split(3):
        optimizer.zero_grad()
        F.cross_entropy(logits.expand(len(batch), 2), batch).backward()
        optimizer.step()
    return logits[1].item() / (0.5 * rate)


def hopeless_image():
    """`F.cross_entropy(logits, label)`."""
    logits = torch.tensor([[given.HOPELESS, 0.0]], requires_grad=True)
    F.cross_entropy(logits, torch.tensor([1])).backward()
    return logits.grad[0, 1].item()


def cost_epsilon():
    """`F.cross_entropy(logits, label)`."""
    return F.cross_entropy(torch.tensor([[given.HOPELESS, 0.0]]), torch.tensor([1])).item()


def gradient(function, values=(0.0,)):
    """The gradient of a function of some numbers."""
    x = torch.tensor(values, requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


def relu_at_zero():
    """`F.relu`."""
    return gradient(F.relu)


def maximum_at_zero():
    """`torch.maximum(x, zero)`."""
    return gradient(lambda x: torch.maximum(x, torch.zeros(1)))


def maximum_at_zero_as_contract():
    """Write `F.relu(x)`."""
    return gradient(F.relu)


def reversed_maximum_at_zero():
    """`torch.maximum(zero, x)`."""
    return gradient(lambda x: torch.maximum(torch.zeros(1), x))


def reversed_maximum_at_zero_as_contract():
    """Write `F.relu(x)`."""
    return gradient(F.relu)


def clip_at_zero():
    """`x.clamp(min=0)`."""
    return gradient(lambda x: x.clamp(min=0))


def clip_at_zero_as_contract():
    """Write `F.relu(x)`."""
    return gradient(F.relu)


def where_at_zero():
    """`torch.where(x > 0, x, 0)`."""
    return gradient(lambda x: torch.where(x > 0, x, 0))


def ties_in_max():
    """`x.max()`."""
    return gradient(torch.max, (1.0, 1.0, 0.0, 1.0))


def ties_in_argmax():
    """`argmax`."""
    return torch.tensor([0.0, 1.0, 1.0]).argmax().item()


def bytes_times_floats():
    """`images @ weights`."""
    images, weights = given.few_bytes(), given.weights()
    try:
        product = torch.from_numpy(images) @ torch.from_numpy(weights)
    except RuntimeError:
        return "RuntimeError", 0.0
    return str(product.dtype).removeprefix("torch."), plain.correct_bits(product, images.astype(float) @ weights)


def bytes_times_floats_as_contract():
    """Convert first: `images.float() @ weights`."""
    images, weights = given.few_bytes(), given.weights()
    product = torch.from_numpy(images).float() @ torch.from_numpy(weights)
    return str(product.dtype).removeprefix("torch."), plain.correct_bits(product, images.astype(float) @ weights)


def sum_of_bytes():
    """`sum()`."""
    return torch.from_numpy(given.many_bytes()).sum().item()


def mean_in_float32():
    """`mean()`."""
    return torch.from_numpy(given.many_floats()).mean().item()


def float64_kept():
    """`2 * torch.from_numpy(array)`."""
    return str((2 * torch.from_numpy(given.images().astype(float))).dtype).removeprefix("torch.")


def denormals():
    """`a * b`."""
    return (torch.tensor([1e-30]) * torch.tensor([1e-10])).double().item() / 1e-40


def precision_on_gpu():
    """`images @ weights` on `cuda`."""
    if not torch.cuda.is_available():
        raise NotAsked("PyTorch finds no GPU")
    images, weights = given.images(), given.weights()
    product = (torch.from_numpy(images).cuda() @ torch.from_numpy(weights).cuda()).cpu().numpy()
    return plain.correct_bits(product, images.astype(float) @ weights)


def row_alone():
    """`images @ weights`."""
    images, weights = torch.from_numpy(given.images()), torch.from_numpy(given.weights())
    return plain.of_other_bits(images @ weights, torch.cat([images[i : i + 1] @ weights for i in range(len(images))]))


def equal_rows():
    """`images @ weights`."""
    product = torch.from_numpy(given.equal_images()) @ torch.from_numpy(given.weights(given.OUTPUTS))
    return plain.of_other_bits(product, product[:1])


def threads():
    """`images @ weights`."""
    return (torch.from_numpy(given.images()) @ torch.from_numpy(given.weights())).numpy()


def dense_start():
    """`nn.Linear(784, 128)`."""
    torch.manual_seed(0)
    layer = nn.Linear(given.INPUTS, given.HIDDEN)
    return plain.described_start(layer.weight.detach().numpy(), layer.bias.detach().numpy())


def dense_start_as_contract():
    """Call `nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")` and `nn.init.zeros_(layer.bias)`."""
    torch.manual_seed(0)
    layer = nn.Linear(given.INPUTS, given.HIDDEN)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return plain.described_start(layer.weight.detach().numpy(), layer.bias.detach().numpy())
