"""The questions that every library is asked, with the possible answers, and which of them is the contract's.

The functions of the files `ask_*.py` are named after the questions and return what was measured. Nothing of a library
is stated here: the answers come from plain implementations (`plain.py`).
"""

from typing import NamedTuple

import numpy as np

from bench.dialects import given, plain

Value = float | str
Answer = list[Value]  # what a probe measured; in records, too
CLOSE = 1e-5


class Reading(NamedTuple):
    """A possible answer: in words, and as a plain implementation computes it. None: any that is no other reading."""

    says: str
    value: Answer | None


class Question(NamedTuple):
    """One question. The first of its readings is the contract's, unless `is_open`: then the contract decides nothing.

    tolerance: of every number in the answer, relative to the reading's and, as they may be 0, absolute; one for all or
    one for each.
    """

    name: str
    title: str
    asks: str
    contract: str
    readings: tuple[Reading, ...]
    is_open: bool = False
    tolerance: float | tuple[float, ...] = CLOSE

    def reading_of(self, answer: Answer) -> Reading | None:
        """The reading that an answer fits; None where it fits none."""
        return next((one for one in self.readings if one.value is None or self.fits(answer, one.value)), None)

    def fits(self, answer: Answer, value: Answer) -> bool:
        """Whether an answer is this value, within the tolerance."""
        if len(answer) != len(value):
            return False
        tolerances = np.broadcast_to(self.tolerance, len(value))
        return all(_close(*three) for three in zip(answer, value, tolerances, strict=True))


def _close(one: Value, other: Value, tolerance: float) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return bool(np.isclose(one, other, rtol=tolerance, atol=tolerance))


def _reading(says: str, *value: Value) -> Reading:
    return Reading(says, list(value))


THREE_STEPS = "A parameter starts at {start}; its gradient is 1; the rates are 0.4, 0.2, 0.1. Where is it after that?"
NO_PROBABILITY = "The logits of two classes are 40 and 0, and the second is right: its probability is 4e-18."
LEFT_OPEN = "leaves it open, as agreement is within what rounding explains"
NOT_IN_CONTRACT = "has none of its own: recipes do without"
SAME, OTHER = _reading("the same bits", 0.0), Reading("other bits", None)
AT_ZERO = (_reading("0", 0.0), _reading("one half", 0.5), _reading("1", 1.0))
OUTSIDE, INSIDE = "the rate is outside the velocity", "the rate is inside the velocity"
AVERAGED = "the velocity is a weighted mean of gradients"

UPDATES = (
    Question(
        "plain_momentum", "plain momentum", f"Momentum 0.9. {THREE_STEPS.format(start=0)}",
        "has Nesterov's alone; its rate is outside the velocity: v <- mu v + g, p <- p - eta v",
        (
            _reading(OUTSIDE, plain.three_steps()),
            _reading(INSIDE, plain.three_steps(rate_inside=True)),
            _reading(AVERAGED, plain.three_steps(averaged=True, dampened_at_first=True)),
        ),
    ),
    Question(
        "nesterov_momentum", "Nesterov's momentum", f"Nesterov's momentum 0.9. {THREE_STEPS.format(start=0)}",
        "v <- mu v + g, p <- p - eta (g + mu v)",
        (
            _reading(OUTSIDE, plain.three_steps(nesterov=True)),
            _reading(INSIDE, plain.three_steps(nesterov=True, rate_inside=True)),
            _reading(AVERAGED, plain.three_steps(nesterov=True, averaged=True)),
        ),
    ),
    Question(
        "falling_rate", "rate by schedule",
        "Without momentum, at rates 0.4, 0.2, 0.1 by the library's own schedule of steps, which is told that the rate "
        "changes at updates 1 and 2, counted from 0: where does gradient 1 bring a parameter of 0?",
        "has a list of rates, one for each update",
        (
            _reading("the rates change when told", plain.three_steps(momentum=0)),
            _reading("every change takes effect one update later", plain.three_steps((0.4, 0.4, 0.2), momentum=0)),
        ),
    ),
    Question(
        "assigned_rate", "rate between updates",
        "The rate is 0.1; after an update it is set to 0.01, as users of the library do. How large is the next update, "
        "in units of the first?",
        "every update has its own rate",
        (_reading("the new rate is obeyed", 0.1), _reading("the new rate is ignored, without a word", 1.0)),
    ),
    Question(
        "rate_during_calls", "adaptive rate",
        "The rate is to fall when the cost no longer does. Batches are given one by one, in 200 calls, at a constant "
        "cost. What is the last rate over the first?",
        "every update has its own rate",
        (_reading("it is kept", 1.0), _reading("it falls, as every call counts as an epoch", 0.2**8)),
        tolerance=1e-9,
    ),
    Question(
        "decay_unasked", "decay unasked",
        "One update at rate 1 of a weight of 1, with no gradient and default settings otherwise, on one image: by how "
        "much does it shrink?",
        "no decay",
        (_reading("not at all", 0.0), _reading("by 0.0001 over the images of the batch", 1e-4)),
        tolerance=1e-7,
    ),
    Question(
        "weight_decay", "weight decay", f"Weight decay 0.1, plain momentum 0.9. {THREE_STEPS.format(start=1)}",
        NOT_IN_CONTRACT,
        (
            _reading("coupled: it is part of the gradient, before the velocity",
                     plain.three_steps(decay=given.DECAY, start=1)),
            _reading("decoupled: rate times decay is taken from the parameter, beside the velocity",
                     plain.three_steps(decay=given.DECAY, start=1, decay_in="parameter")),
            _reading("coupled, with the rate inside the velocity",
                     plain.three_steps(decay=given.DECAY, start=1, rate_inside=True)),
            _reading("decoupled, with the rate inside the velocity",
                     plain.three_steps(decay=given.DECAY, start=1, rate_inside=True, decay_in="parameter")),
        ),
        is_open=True,
    ),
    Question(
        "dampening", "dampening", f"Plain momentum 0.9, dampening 0.5. {THREE_STEPS.format(start=0)}",
        NOT_IN_CONTRACT,
        (
            _reading("the first gradient is not dampened", plain.three_steps(dampening=0.5)),
            _reading("every gradient is dampened", plain.three_steps(dampening=0.5, dampened_at_first=True)),
        ),
        is_open=True,
    ),
    Question(
        "clipping", "clipping of gradients",
        "Two parameters have gradients 3 and 4, clipped by norm at 1. What is left of them?", NOT_IN_CONTRACT,
        (
            _reading("by the norm of all", *plain.clipped((3, 4), 1, together=True)),
            _reading("each parameter by its own norm", *plain.clipped((3, 4), 1, together=False)),
        ),
        is_open=True,
    ),
    Question(
        "clipping_and_decay", "clipping and decay",
        "A parameter of 1 has gradient 3, clipped at 1, and weight decay 0.1; the rate is 1. How large is the update?",
        NOT_IN_CONTRACT,
        (
            _reading("the gradient is clipped, the decay is added afterwards", 1.0 + given.DECAY),
            _reading("gradient and decay are clipped together", 1.0),
        ),
        is_open=True,
    ),
)  # fmt: skip

COSTS = (
    Question(
        "short_last_batch", "short last batch",
        "Four equal images, in batches of three: three and one. How far does the whole epoch move a parameter, in "
        "units of what one image does in an update of its own?",
        "the gradient of the mean cost over the images of each update",
        (
            _reading("means: each update counts the same", 2.0),
            _reading("sums: each image counts the same", 4.0),
            _reading("sums over the full batch size", 4 / 3),
        ),
        tolerance=1e-2,
    ),
    Question(
        "short_last_batch_cost", "cost with a short batch",
        "Four images in batches of three, at rate 0: three of cost 0, then one of cost 40. Which cost does the library "
        "report for the epoch?",
        "the cost of each update; their mean weighted by images is 10",
        (
            _reading("the mean over images", 10.0),
            _reading("the mean over updates", 20.0),
            _reading("the mean over images, of a clipped cost", -np.log(1e-7) / 4),
            _reading("the mean over images, of a cost clipped at eps of float64", -np.log(2.0**-52) / 4),
        ),
        tolerance=1e-3,
    ),
    Question(
        "hopeless_image", "hopeless image",
        f"{NO_PROBABILITY} What is the derivative of the cost with respect to its logit?",
        "the softmax minus the target: -1",
        (
            _reading("-1", plain.cost_gradient([given.HOPELESS, 0], 1)),
            _reading("exactly 0: the image teaches nothing", plain.cost_gradient([given.HOPELESS, 0], 1, 1e-7)),
        ),
    ),
    Question(
        "cost_epsilon", "epsilon of the cost", f"{NO_PROBABILITY} What is its cost, in float32?",
        "-log of the softmax, without an epsilon: 40",
        (
            _reading("no epsilon", plain.cost([given.HOPELESS, 0], 1)),
            _reading("the probability is clipped at 1e-7", plain.cost([given.HOPELESS, 0], 1, 1e-7)),
            _reading("the probability is clipped at eps of float32", plain.cost([given.HOPELESS, 0], 1, 2.0**-23)),
            _reading("the probability is clipped at eps of float64", plain.cost([given.HOPELESS, 0], 1, 2.0**-52)),
        ),
        tolerance=1e-4,
    ),
    Question(
        "order_of_images", "order of images",
        "Eight images, one an update, are given to the library's own loop, with default settings otherwise. In which "
        "order does it take them?",
        "the order of the plan; nothing is shuffled in a backend",
        (_reading("as given", *range(8)), Reading("shuffled, unless told otherwise", None)),
    ),
)  # fmt: skip

DERIVATIVES = (
    Question("relu_at_zero", "ReLU at 0", "The derivative of the library's ReLU at exactly 0?", "0", AT_ZERO),
    Question("maximum_at_zero", "maximum(x, 0) at 0", "The derivative of maximum(x, 0) at x = 0?", "0", AT_ZERO),
    Question("reversed_maximum_at_zero", "maximum(0, x) at 0", "The derivative of maximum(0, x) at x = 0?", "0",
             AT_ZERO),
    Question("clip_at_zero", "clip(x, 0) at 0", "The derivative of x clipped below at 0, at x = 0?", "0", AT_ZERO),
    Question("where_at_zero", "where(x > 0) at 0", "The derivative of where(x > 0, x, 0) at x = 0?", "0", AT_ZERO),
    Question(
        "ties_in_max", "ties in max", "The gradient of the largest of 1, 1, 0, 1?",
        "has no max but in the softmax, where it cancels out",
        (
            _reading("shared equally", *plain.gradient_of_max((1, 1, 0, 1), "shared")),
            _reading("all to the first", *plain.gradient_of_max((1, 1, 0, 1), "first")),
            _reading("all to the last", *plain.gradient_of_max((1, 1, 0, 1), "last")),
            _reading("1 to each", *plain.gradient_of_max((1, 1, 0, 1), "each")),
        ),
        is_open=True,
    ),
    Question(
        "ties_in_argmax", "ties in argmax", "Which of the outputs 0, 1, 1 is the answer, counted from 0?",
        "the first of the largest",
        (_reading("the first", 1.0), _reading("the last", 2.0)),
    ),
)  # fmt: skip

NUMBERS = (
    Question(
        "bytes_times_floats", "bytes times floats",
        "Images of uint8 times weights of float32: which dtype has the product, and how many leading bits are right?",
        "images may be uint8; results are of the parameters' dtype",
        (
            _reading("float32, and right", "float32", 22.0),
            _reading("float64, and right", "float64", 22.0),
            _reading("it refuses", "TypeError", 0.0),
            _reading("it refuses", "RuntimeError", 0.0),
            _reading("uint8, wrapped", "uint8", 0.0),
        ),
        tolerance=(0.0, 0.1),
    ),
    Question(
        "bytes_into_layer", "layer on bytes",
        "A new network is trained on images of uint8, as they are. In which dtype are its parameters then?",
        "the dtype that is asked for, by default float32",
        (_reading("float32", "float32"), _reading("float64", "float64")),
    ),
    Question(
        "sum_of_bytes", "sum of bytes", "The sum of 17,000,000 bytes of 255?", "4,335,000,000",
        (
            _reading("right", 17_000_000 * 255.0),
            _reading("it wraps at 32 bits", float(plain.wrapped(17_000_000 * 255, 32))),
            _reading("it wraps at 8 bits", float(plain.wrapped(17_000_000 * 255, 8))),
        ),
        tolerance=1e-6,
    ),
    Question(
        "mean_in_float32", "mean in float32",
        "The mean of 4,194,304 numbers of 0.3 in float32, as when a library standardises the pixels?", "0.3",
        (
            _reading("right to four digits", float(np.float32(0.3))),
            _reading("summed one by one in float32", float(plain.sum_one_by_one(given.many_floats())) / 2**22),
        ),
        tolerance=1e-4,
    ),
    Question(
        "float64_kept", "float64 kept", "A float64 array is taken into the library and doubled. Which dtype comes out?",
        "float64 where float64 is asked for",
        (_reading("float64", "float64"), _reading("float32", "float32")),
    ),
    Question(
        "denormals", "denormals", "1e-30 times 1e-10 in float32, which is denormal, over 1e-40?",
        "they are kept, as the reference is NumPy",
        (_reading("kept", 1.0), _reading("flushed to 0", 0.0)),
        tolerance=1e-3,
    ),
    Question(
        "precision_on_gpu", "float32 on a GPU",
        "The product of 128 x 784 and 784 x 128 in float32 on a GPU, by default: how many leading bits are right?",
        "true float32; TF32 does not agree",
        (
            _reading("true float32", 22.5),
            _reading("TF32", 11.5),
            _reading("bfloat16", 8.5),
        ),
        tolerance=0.12,
    ),
)  # fmt: skip

BITS = (
    Question(
        "row_alone", "row alone, or in a batch",
        "Images times weights, 784 x 128, as a batch of 128 and image by image: which share of the results differs?",
        LEFT_OPEN, (SAME, OTHER), is_open=True, tolerance=0.0,
    ),
    Question(
        "equal_rows", "equal rows of a batch",
        "One image 128 times, times weights 784 x 10: which share of the results is not that of the first row?",
        LEFT_OPEN, (SAME, OTHER), is_open=True, tolerance=0.0,
    ),
    Question(
        "threads", "one thread, or two",
        "Images times weights, 784 x 128, with one thread and with two: which share of the results differs?",
        LEFT_OPEN, (SAME, OTHER), is_open=True, tolerance=0.0,
    ),
)  # fmt: skip

GLOROT, HE, LECUN = 2 / (784 + 128), 2 / 784, 1 / 784
BEGINNINGS = (
    Question(
        "dense_start", "start of a dense layer",
        "A new layer of 784 inputs and 128 outputs: the standard deviation of its weights, the largest weight in "
        "standard deviations, and the largest bias?",
        "the harness draws them; he_normal in its recipes: N(0, 2/784), biases 0",
        (
            _reading("normal, 2/fan_in; biases 0", *plain.start("normal", HE)),
            _reading("uniform, 1/(3 fan_in); biases, too", *plain.start("uniform", LECUN / 3, LECUN**0.5)),
            _reading("uniform, 2/(fan_in + fan_out); biases 0", *plain.start("uniform", GLOROT)),
            _reading("uniform, 2/(fan_in + fan_out); biases, too",
                     *plain.start("uniform", GLOROT, (3 * GLOROT) ** 0.5)),
            _reading("normal, 1/fan_in; biases 0", *plain.start("normal", LECUN)),
            _reading("truncated normal, 1/fan_in; biases 0", *plain.start("truncated", LECUN)),
            _reading("truncated normal, 2/fan_in; biases 0", *plain.start("truncated", HE)),
            _reading("uniform, 2/fan_in; biases 0", *plain.start("uniform", HE)),
        ),
        tolerance=(1e-3, 0.12, 5e-3),
    ),
)  # fmt: skip

GROUPS = {
    "Updates": UPDATES,
    "Costs and batches": COSTS,
    "Derivatives at corners": DERIVATIVES,
    "Bytes, floats, precision": NUMBERS,
    "The same bits": BITS,
    "Beginnings": BEGINNINGS,
}
QUESTIONS = {question.name: question for group in GROUPS.values() for question in group}
