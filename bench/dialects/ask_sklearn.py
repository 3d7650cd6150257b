"""What scikit-learn's MLPClassifier does.

Its cost cannot be chosen, so gradients of exactly 1 come from an image that is hopelessly wrong: with logits 1000, 0, 0
and label 1 the derivative with respect to the first bias stays 1.
"""

# mypy: ignore-errors

import numpy as np
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from bench.dialects import given, plain

ONE, LABEL = np.zeros((1, 1)), np.array([1])
FAR = 1000.0
ADVICE = {
    "dense_start": "assign `coefs_` and `intercepts_`, and 0 to `_optimizer.velocities`, after a first `partial_fit`",
    "cost_epsilon": "gradients are right; compute the cost from logits, with `scipy.special.log_softmax`",
    "short_last_batch_cost": "gradients are right; compute costs from logits, with `scipy.special.log_softmax`",
}


def model(bias=(FAR, 0.0, 0.0), inputs=1, hidden=(), **settings):
    """A network with three classes, whose parameters are 0, but for these biases, and velocities are 0."""
    defaults = {"solver": "sgd", "alpha": 0.0, "batch_size": 1, "shuffle": False, "momentum": 0.0, "random_state": 0}
    model = MLPClassifier(hidden, **defaults | settings)
    model.partial_fit(np.zeros((1, inputs)), LABEL, classes=[0, 1, 2])
    for array in (*model.coefs_, *model.intercepts_, *model._optimizer.velocities):
        array[...] = 0
    model.intercepts_[-1][:] = bias
    return model


def three_steps(nesterov):
    """The first bias after three steps, from where it began."""
    classifier = model(momentum=given.MOMENTUM, nesterovs_momentum=nesterov)
    for rate in given.RATES:
        classifier._optimizer.learning_rate = rate
        classifier.partial_fit(ONE, LABEL)
    return classifier.intercepts_[0][0] - FAR


def three_converted_steps(nesterov):
    """The same with velocities that are multiplied by new rate over old rate before each step."""
    classifier = model(momentum=given.MOMENTUM, nesterovs_momentum=nesterov, learning_rate_init=given.RATES[0])
    optimizer = classifier._optimizer
    for rate in given.RATES:
        optimizer.velocities = [v * (rate / optimizer.learning_rate) for v in optimizer.velocities]
        optimizer.learning_rate = rate
        classifier.partial_fit(ONE, LABEL)
    return classifier.intercepts_[0][0] - FAR


def plain_momentum():
    """`MLPClassifier(solver="sgd", nesterovs_momentum=False)`, rates assigned to `_optimizer.learning_rate`."""
    return three_steps(nesterov=False)


def plain_momentum_as_contract():
    """Multiply `_optimizer.velocities` by new rate / old rate whenever the rate changes."""
    return three_converted_steps(nesterov=False)


def nesterov_momentum():
    """`MLPClassifier(solver="sgd", momentum=0.9)`, rates assigned to `_optimizer.learning_rate`."""
    return three_steps(nesterov=True)


def nesterov_momentum_as_contract():
    """Multiply `_optimizer.velocities` by new rate / old rate whenever the rate changes."""
    return three_converted_steps(nesterov=True)


def size_of_next_step(assign):
    """Change of the first bias in the step after the rate was set, over that in the step before."""
    classifier = model(learning_rate_init=0.1)
    places = [FAR]
    for set_rate in (lambda _: None, assign):
        set_rate(classifier)
        classifier.partial_fit(ONE, LABEL)
        places.append(classifier.intercepts_[0][0])
    return (places[2] - places[1]) / (places[1] - places[0])


def assigned_rate():
    """`model.set_params(learning_rate_init=rate)` after the first `partial_fit`."""
    return size_of_next_step(lambda classifier: classifier.set_params(learning_rate_init=0.01))


def assigned_rate_as_contract():
    """Assign `model._optimizer.learning_rate`, which is private."""
    return size_of_next_step(lambda classifier: setattr(classifier._optimizer, "learning_rate", 0.01))


def rate_after_calls(**settings):
    """The last rate over the first, after 200 mini-batches at a constant cost."""
    classifier = model(bias=(0.0, FAR, 0.0), learning_rate_init=0.1, **settings)
    for _ in range(200):
        classifier.partial_fit(ONE, LABEL)
    return classifier._optimizer.learning_rate / 0.1


def rate_during_calls():
    """`learning_rate="adaptive"`, a call of `partial_fit` for each mini-batch."""
    return rate_after_calls(learning_rate="adaptive")


def rate_during_calls_as_contract():
    """Leave `learning_rate="constant"`, or give `partial_fit` a whole epoch in each call."""
    return rate_after_calls(learning_rate="constant")


def shrinkage(**settings):
    """How much a weight of 1 shrinks in an update without a gradient, as its input is 0, at rate 1."""
    classifier = model(learning_rate_init=1.0, **settings)
    classifier.coefs_[0][:] = 1
    classifier.partial_fit(ONE, LABEL)
    return 1 - classifier.coefs_[0][0, 0]


def decay_unasked():
    """`MLPClassifier(solver="sgd", learning_rate_init=1)`."""
    return shrinkage(alpha=MLPClassifier().alpha)


def decay_unasked_as_contract():
    """Give `alpha=0`."""
    return shrinkage(alpha=0.0)


def short_last_batch():
    """`MLPClassifier(solver="sgd", batch_size=3)`, one `partial_fit` of four images."""
    rate = 1e-3
    classifier = model(batch_size=3, learning_rate_init=rate)
    classifier.partial_fit(np.zeros((4, 1)), np.ones(4, int))
    return (FAR - classifier.intercepts_[0][0]) / rate


def short_last_batch_cost():
    """`loss_` after one `partial_fit` with `batch_size=3`."""
    classifier = model(bias=(given.HOPELESS, 0.0, -given.HOPELESS), batch_size=3, learning_rate_init=1e-9)
    classifier.partial_fit(np.zeros((4, 1)), np.array([0, 0, 0, 1]))
    return classifier.loss_


def hopeless_image():
    """`MLPClassifier(solver="sgd")`, one `partial_fit`."""
    classifier = model(bias=(given.HOPELESS, 0.0, -given.HOPELESS), learning_rate_init=1.0)
    classifier.partial_fit(ONE, LABEL)
    return -classifier.intercepts_[0][1]


def cost_epsilon():
    """`log_loss(labels, probabilities)`, probabilities of float32."""
    return log_loss([1], plain.softmax(np.array([[given.HOPELESS, 0.0]], np.float32)), labels=[0, 1])


def order_of_images():
    """`partial_fit` of eight images with `batch_size=1`, other settings as they are."""
    return order(shuffle=MLPClassifier().shuffle)


def order_of_images_as_contract():
    """Give `shuffle=False`."""
    return order(shuffle=False)


def order(**settings):
    """The order in which images are taken, read from a velocity that halves with every image.

    Image i has only its pixel i lit; so the weights from that pixel move when it is its turn.
    """
    classifier = model(bias=(FAR, 0.0, 0.0), inputs=8, momentum=0.5, nesterovs_momentum=False, **settings)
    classifier.partial_fit(np.eye(8), np.ones(8, int))
    return np.argsort(np.abs(classifier._optimizer.velocities[0][:, 0]))


def relu_at_zero():
    """`MLPClassifier((1,), activation="relu")`: does a unit at exactly 0 pass a gradient on?"""
    classifier = model(bias=(FAR, 0.0, 0.0), hidden=(1,), learning_rate_init=1.0)
    classifier.coefs_[1][:] = [[-1.0, 0.0, 0.0]]
    classifier.partial_fit(ONE + 1, LABEL)
    return classifier.coefs_[0][0, 0]


def bytes_into_layer():
    """`partial_fit` on images of uint8: the dtype of `coefs_`."""
    return trained_on(given.few_bytes())


def bytes_into_layer_as_contract():
    """Convert the images to float32 before the first `partial_fit`, which settles the dtype."""
    return trained_on(given.few_bytes().astype(np.float32))


def trained_on(images):
    """The dtype of the weights after an update on these images."""
    classifier = MLPClassifier((4,), solver="sgd", random_state=0)
    classifier.partial_fit(images, [0, 1, 2, 0], classes=[0, 1, 2])
    return classifier.coefs_[0].dtype.name


def dense_start():
    """`MLPClassifier((128,))`, which is ReLU's."""
    classifier = MLPClassifier((given.HIDDEN,), solver="sgd", learning_rate_init=1e-30, random_state=0)
    classifier.partial_fit(np.zeros((1, given.INPUTS)), LABEL, classes=[0, 1, 2])
    return plain.described_start(classifier.coefs_[0], classifier.intercepts_[0])
