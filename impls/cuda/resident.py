"""Training a network of one hidden layer that stays on the GPU's multiprocessors for a whole plan.

A block owns some hidden units: their weights and biases, their rows of the output layer, and the velocities of these
lie in its shared memory from the first update to the last; the biases of the outputs lie in every block. So all that
blocks have to tell each other is what the outputs of each image get from their units. A *step* takes the images of an
update, or as many of them as fit into shared memory:

    each block      multiplies the images by its weights, and sends its part of every image's logits (send_logits)
    block i mod K   adds the K parts of image i in their order, and sends the image's deltas            (reduce)
    each block      receives all deltas, and adds up its own gradient; after the last step of an update it applies it

What is sent are words of 64 bits: the upper half is the number of the step, the lower half 32 bits of what is told; a
float64 takes two. A word is written and read in one piece, so a reader that finds the step it waits for has the rest,
without a barrier, a fence or a flag. (NVIDIA's NCCL calls this its protocol for low latency, "LL".) A word is
overwritten in a later step only after its reader has read it, as what is sent next depends on what was read. All blocks
have to run at the same time, for which the kernel is launched as a cooperative one. No sum is atomic, so the same call
gives the same bits.

Why are logits summed by one block an image, not by every block for itself, which would save sending the deltas? With
128 blocks, 128 images and 10 outputs all parts are 1.3 MB; read by every block that is 170 MB an update, which takes
an H100's L2 cache some 30 us. The deltas are 10 KB, read by every block 1.3 MB, and sending them takes about 1 us.

Pixels stay bytes. Their scale is multiplied into the sums, so that a product has no rounding more than others have.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from impls.cuda.device import ALIGNED, at, device_function, gpu, kernel
from impls.cuda.functions import functions_of, means_of

PIECE = 16  # pixels that are copied and multiplied at once
WORD = 4  # pixels in 32 bits
PARTS = 16  # of the blocks, whose logits are added up at the same time
BUFFERS = 2  # of images: one is copied while the other is used


class Shape(NamedTuple):
    """What the compiler knows about a launch."""

    real: Any  # np.float32 or np.float64
    n_threads: int  # in a block
    most_blocks: int
    n_units: int  # hidden units of a block; the last block may have less, and others that remain 0
    n_outputs: int
    n_pieces: int  # in a row of an image: an odd number, so that reading a column of pieces meets all memory banks
    n_images: int  # at most in a step, and at most as many as threads
    n_words: int  # whose gradient one thread adds up: 1, 2 or 4
    hidden: str
    output: str
    momentum: bool

    @property
    def n_pixels(self) -> int:
        """In a row of an image, with what fills it up."""
        return PIECE * self.n_pieces

    @property
    def slots(self) -> int:
        """Threads that share the pixels of an image."""
        return self.n_pixels // WORD // self.n_words

    @property
    def groups(self) -> int:
        """Threads that share the images, for each pixel."""
        return self.n_threads // self.slots

    @property
    def n_small(self) -> int:
        """Parameters of a block besides the weights of the first layer: biases, weights and biases of outputs."""
        return self.n_units + self.n_units * self.n_outputs + self.n_outputs

    @property
    def n_parameters(self) -> int:
        """Of a block, in a multiple of four: weights of the first layer, its biases, weights and biases of outputs."""
        return -(-(self.n_units * self.n_pixels + self.n_small) // 4) * 4

    @property
    def places(self) -> dict[str, int]:
        """Where in shared memory what is no image begins, counted in numbers of the dtype; "end" is where it ends."""
        images = BUFFERS * self.n_images * self.n_pixels // np.dtype(self.real).itemsize
        scratch = max(
            self.groups * self.n_units * self.n_pixels,  # gradients of the first layer
            self.n_threads * self.n_units,  # parts of z
            self.most_blocks * self.n_outputs,  # parts of an image's logits
        )
        sizes = {
            "parameters": self.n_parameters,
            "velocities": self.n_parameters if self.momentum else 0,
            "scratch": scratch,
            "small": self.n_threads,
            "z": self.n_outputs,
            "a": self.n_images * self.n_units,
            "d": self.n_images * self.n_units,
            "delta": self.n_images * self.n_outputs,
            "end": 0,
        }
        ends = np.cumsum([images, *sizes.values()]).tolist()
        return dict(zip(sizes, ends, strict=False))

    @property
    def n_bytes(self) -> int:
        """Of shared memory."""
        rows = 4 * BUFFERS * self.n_images
        return self.places["end"] * np.dtype(self.real).itemsize + rows


# The columns of the table of steps.
START = 0  # the position of the first image in the plan's order
SIZE = 1  # the number of images
WHOLE = 2  # the number of images of the update
LAST = 3  # 1 for the last step of an update, otherwise 0
SHIFT = 4  # the least s for which 2^s images are not too few


def words_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions that send and receive a number as one word, or as two."""
    real, halves = shape.real, np.dtype(shape.real).itemsize // 4

    @device_function
    def send(words: Any, i: int, value: Any, tag: Any) -> None:
        bits = np.uint64(gpu.bits_of(value))
        upper = np.uint64(tag) << np.uint64(32)
        gpu.poke(words, halves * i, upper | (bits & np.uint64(0xFFFFFFFF)))
        if halves == 2:
            gpu.poke(words, halves * i + 1, upper | (bits >> np.uint64(32)))

    @device_function
    def half(words: Any, i: int, tag: Any) -> Any:
        word = gpu.peek(words, i)
        while word >> np.uint64(32) != np.uint64(tag):
            gpu.give_way()
            word = gpu.peek(words, i)
        return word & np.uint64(0xFFFFFFFF)

    @device_function
    def receive(words: Any, i: int, tag: Any) -> Any:
        return gpu.number_of(np.uint32(half(words, i, tag)))

    @device_function
    def receive_wide(words: Any, i: int, tag: Any) -> Any:
        return gpu.number_of(half(words, 2 * i, tag) | (half(words, 2 * i + 1, tag) << np.uint64(32)))

    return send, receive if real == np.float32 else receive_wide


def forward_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions that fill in the hidden activations of a step, each with a barrier to follow."""
    real, n_threads, n_units, n_pieces = shape.real, shape.n_threads, shape.n_units, shape.n_pieces
    n_pixels, places = shape.n_pixels, shape.places
    weights, scratch, a_at = places["parameters"], places["scratch"], places["a"]
    biases = weights + n_units * n_pixels
    activation = functions_of(shape.hidden, shape.output, real).activation

    @device_function
    def multiply(words: Any, reals: Any, buffer: int, n: int, shift: int) -> None:
        """Parts of z: a thread takes one of 2^shift images, if there are as many, and every so many pieces of it."""
        sums = cuda.local.array(n_units, real)
        part = cuda.threadIdx.x >> shift
        image = cuda.threadIdx.x - (part << shift)
        n_parts = min(n_threads >> shift, n_pieces)
        if part < n_parts and image < n:
            for j in range(n_units):
                sums[j] = real(0)
            row, piece = (buffer + image) * (n_pixels // WORD), part
            while piece < n_pieces:
                pixels = gpu.four(words, row + PIECE // WORD * piece)
                for q in range(PIECE // WORD):
                    x = gpu.pixels_of(pixels[q], sums[0])
                    for j in range(n_units):
                        w = gpu.four(reals, weights + j * n_pixels + PIECE * piece + WORD * q)
                        for byte in range(WORD):
                            sums[j] += x[byte] * w[byte]
                piece += n_parts
            for j in range(n_units):
                reals[at(scratch + (part * n + image) * n_units + j)] = sums[j]

    @device_function
    def activate(reals: Any, n: int, shift: int, scale: Any, n_hidden: int) -> None:
        """The parts of z added up, and activated."""
        n_parts = min(n_threads >> shift, n_pieces)
        for e in range(cuda.threadIdx.x, n * n_units, n_threads):
            z = real(0)
            for part in range(n_parts):
                z += reals[at(scratch + part * n * n_units + e)]
            unit = e - gpu.quotient(e, n_units) * n_units
            a = activation(z * scale + reals[at(biases + unit)])
            reals[at(a_at + e)] = a if cuda.blockIdx.x * n_units + unit < n_hidden else real(0)

    return multiply, activate


def exchange_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions that send a block's part of the logits and receive the deltas of a step."""
    real, n_threads, n_units, n_outputs = shape.real, shape.n_threads, shape.n_units, shape.n_outputs
    a_at, delta_at = shape.places["a"], shape.places["delta"]
    weights = shape.places["parameters"] + n_units * shape.n_pixels + n_units
    send, receive = words_of(shape)

    @device_function
    def send_logits(reals: Any, logits: Any, n: int, tag: Any) -> None:
        """This block's part of z of every image's outputs."""
        for e in range(cuda.threadIdx.x, n * n_outputs, n_threads):
            image = gpu.quotient(e, n_outputs)
            output = e - image * n_outputs
            part = real(0)
            for j in range(n_units):
                part += reals[at(a_at + image * n_units + j)] * reals[at(weights + j * n_outputs + output)]
            send(logits, (image * cuda.gridDim.x + cuda.blockIdx.x) * n_outputs + output, part, tag)

    @device_function
    def receive_deltas(reals: Any, deltas: Any, n: int, tag: Any) -> None:
        """The deltas of all images of a step."""
        for e in range(cuda.threadIdx.x, n * n_outputs, n_threads):
            reals[at(delta_at + e)] = receive(deltas, e, tag)

    return send_logits, receive_deltas


def reduce_of(shape: Shape) -> Any:
    """The device function that turns all blocks' parts of the logits into deltas."""
    real, n_threads, n_outputs, places = shape.real, shape.n_threads, shape.n_outputs, shape.places
    scratch, small, z_at = places["scratch"], places["small"], places["z"]
    biases = places["parameters"] + shape.n_units * (shape.n_pixels + 1 + n_outputs)
    n_parts = min(PARTS, n_threads // n_outputs)
    functions = functions_of(shape.hidden, shape.output, real)
    send, receive = words_of(shape)

    @device_function
    def add_parts(reals: Any, logits: Any, image: int, tag: Any) -> None:
        """z of an image's outputs: receive all parts of it, and add them up in their order."""
        t = cuda.threadIdx.x
        n_all = cuda.gridDim.x * n_outputs
        for e in range(t, n_all, n_threads):
            reals[at(scratch + e)] = receive(logits, image * n_all + e, tag)
        cuda.syncthreads()
        part = gpu.quotient(t, n_outputs)
        if part < n_parts:
            total = real(0)
            for block in range(part, cuda.gridDim.x, n_parts):
                total += reals[at(scratch + block * n_outputs + t - part * n_outputs)]
            reals[at(small + t)] = total
        cuda.syncthreads()
        if t < n_outputs:
            total = reals[at(biases + t)]
            for other in range(n_parts):
                total += reals[at(small + other * n_outputs + t)]
            reals[at(z_at + t)] = total
        cuda.syncthreads()

    @device_function
    def reduce(reals: Any, labels: Any, rows: Any, row: int, logits: Any, deltas: Any, costs: Any, done: int, n: int,
               n_whole: int, tag: Any) -> None:  # fmt: skip
        """Send the deltas of this block's images, of the mean cost of n_whole images, and note their costs."""
        t = cuda.threadIdx.x
        for image in range(cuda.blockIdx.x, n, cuda.gridDim.x):
            label = labels[at(rows[at(row + image)])]
            add_parts(reals, logits, image, tag)
            if t < n_outputs:
                of_all = functions.scale(reals, z_at, n_outputs)
                delta = functions.delta(reals[at(z_at + t)], of_all, t == label) / real(n_whole)
                send(deltas, image * n_outputs + t, delta, tag)
                if t == 0:
                    cost = real(0)
                    for k in range(n_outputs):
                        cost += functions.cost(reals[at(z_at + k)], of_all, k == label)
                    costs[at(done + image)] = cost

    return reduce


def pixels_of(shape: Shape) -> Any:
    """The device function that adds up the gradient of the first layer's weights."""
    real, n_units, n_words, d_at = shape.real, shape.n_units, shape.n_words, shape.places["d"]
    slots, groups, row_words, n_sums = shape.slots, shape.groups, shape.n_pixels // WORD, WORD * n_words * n_units

    @device_function
    def add_pixels(words: Any, reals: Any, buffer: int, n: int, gradient: Any) -> None:
        """Add to the gradient of some pixels' weights, which is the thread's own, what every so many images bring.

        A thread holds n_words words of pixels; their sums over a step are added to those over the steps before.
        """
        sums = cuda.local.array(n_sums, real)
        for e in range(n_sums):
            sums[e] = real(0)
        group = gpu.quotient(cuda.threadIdx.x, slots)
        slot = cuda.threadIdx.x - group * slots
        if group < groups:
            image, word = group, (buffer + group) * row_words + slot
            while image < n:
                for w in range(n_words):
                    x = gpu.pixels_of(words[at(word + w * slots)], sums[0])
                    for j in range(n_units):
                        d = reals[at(d_at + image * n_units + j)]
                        for byte in range(WORD):
                            sums[(w * n_units + j) * WORD + byte] += x[byte] * d
                image, word = image + groups, word + groups * row_words
        for e in range(n_sums):
            gradient[e] += sums[e]

    return add_pixels


def backward_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions that fill in hidden deltas, and add up the gradient of all but the first layer's weights."""
    real, n_threads, n_units, n_outputs = shape.real, shape.n_threads, shape.n_units, shape.n_outputs
    a_at, d_at, delta_at = (shape.places[name] for name in ("a", "d", "delta"))
    weights = shape.places["parameters"] + n_units * shape.n_pixels + n_units
    n_small, of_outputs = shape.n_small, n_units + n_units * n_outputs
    derivative = functions_of(shape.hidden, shape.output, real).derivative
    n_parts = n_threads // n_small

    @device_function
    def hidden_deltas(reals: Any, n: int) -> None:
        """The deltas of this block's units."""
        for e in range(cuda.threadIdx.x, n * n_units, n_threads):
            image = gpu.quotient(e, n_units)
            total = real(0)
            for k in range(n_outputs):
                total += (
                    reals[at(delta_at + image * n_outputs + k)]
                    * reals[at(weights + (e - image * n_units) * n_outputs + k)]
                )
            reals[at(d_at + e)] = total * derivative(reals[at(a_at + e)])

    @device_function
    def add_small(reals: Any, n: int) -> Any:
        """What every so many images bring to the gradient of one of the other parameters."""
        part = gpu.quotient(cuda.threadIdx.x, n_small)
        e = cuda.threadIdx.x - part * n_small
        total = real(0)
        if part < n_parts:
            for image in range(part, n, n_parts):
                if e < n_units:
                    total += reals[at(d_at + image * n_units + e)]
                elif e < of_outputs:
                    unit = gpu.quotient(e - n_units, n_outputs)
                    output = e - n_units - unit * n_outputs
                    total += reals[at(a_at + image * n_units + unit)] * reals[at(delta_at + image * n_outputs + output)]
                else:
                    total += reals[at(delta_at + image * n_outputs + e - of_outputs)]
        return total

    return hidden_deltas, add_small


def update_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions that share a block's gradient among its threads, and apply it."""
    real, n_threads, n_units, n_pixels = shape.real, shape.n_threads, shape.n_units, shape.n_pixels
    n_words, slots, groups, row_words = shape.n_words, shape.slots, shape.groups, shape.n_pixels // WORD
    places, n_small, momentum = shape.places, shape.n_small, shape.momentum
    parameters, velocities, scratch, small = (places[name] for name in ("parameters", "velocities", "scratch", "small"))
    n_parts = n_threads // n_small

    @device_function
    def share(reals: Any, gradient: Any, of_small: Any) -> None:
        """Put what each thread has added up where all can read it; the thread's own sums begin anew at 0."""
        t = cuda.threadIdx.x
        group = gpu.quotient(t, slots)
        for w in range(n_words):
            for j in range(n_units):
                for byte in range(WORD):
                    e = (w * n_units + j) * WORD + byte
                    if group < groups:
                        first = scratch + (group * n_units + j) * n_pixels + byte * row_words + t - group * slots
                        reals[at(first + w * slots)] = gradient[e]
                    gradient[e] = real(0)
        reals[at(small + t)] = of_small

    @device_function
    def move(reals: Any, e: int, gradient: Any, rate: Any, mu: Any) -> None:
        """Update one parameter."""
        if momentum:
            velocity = mu * reals[at(velocities + e)] + gradient
            reals[at(velocities + e)] = velocity
            gradient += mu * velocity
        reals[at(parameters + e)] -= rate * gradient

    @device_function
    def update(reals: Any, scale: Any, rate: Any, mu: Any) -> None:
        """Add up what threads have shared, in their order, and update every parameter of this block."""
        for e in range(cuda.threadIdx.x, n_units * n_pixels, n_threads):
            unit = gpu.quotient(e, n_pixels)
            pixel = e - unit * n_pixels
            total = real(0)
            for group in range(groups):
                first = scratch + (group * n_units + unit) * n_pixels
                total += reals[at(first + (pixel & 3) * row_words + (pixel >> 2))]
            move(reals, e, total * scale, rate, mu)
        for e in range(cuda.threadIdx.x, n_small, n_threads):
            total = real(0)
            for part in range(n_parts):
                total += reals[at(small + part * n_small + e)]
            move(reals, n_units * n_pixels + e, total, rate, mu)

    return share, update


def memory_of(shape: Shape) -> tuple[Any, Any, Any]:
    """The device functions that move parameters and images between global and shared memory."""
    n_threads, n_parameters, n_pieces = shape.n_threads, shape.n_parameters, shape.n_pieces
    first_row = first_row_of(shape)
    lanes = min(n_threads, 1 << (n_pieces - 1).bit_length())  # threads for a row: as it is divided by, a power of two
    turns = -(-n_pieces // lanes)
    parameters, velocities, momentum = shape.places["parameters"], shape.places["velocities"], shape.momentum

    @device_function
    def load(reals: Any, own: Any, own_velocities: Any) -> None:
        """This block's parameters and velocities."""
        for e in range(cuda.threadIdx.x, n_parameters, n_threads):
            reals[at(parameters + e)] = own[at(cuda.blockIdx.x), at(e)]
            if momentum:
                reals[at(velocities + e)] = own_velocities[at(cuda.blockIdx.x), at(e)]

    @device_function
    def store(reals: Any, own: Any, own_velocities: Any) -> None:
        """The same, back."""
        for e in range(cuda.threadIdx.x, n_parameters, n_threads):
            own[at(cuda.blockIdx.x), at(e)] = reals[at(parameters + e)]
            if momentum:
                own_velocities[at(cuda.blockIdx.x), at(e)] = reals[at(velocities + e)]

    @device_function
    def begin_to_copy(words: Any, images: Any, rows: Any, buffer: int, n: int) -> None:
        """The n images that `rows` names, into the buffer that begins with this image."""
        image = cuda.threadIdx.x // lanes
        lane = cuda.threadIdx.x - image * lanes
        while image < n:
            row = rows[at(first_row + buffer + image)] * n_pieces
            for turn in range(turns):
                piece = lane + turn * lanes
                if piece < n_pieces:
                    to = (buffer + image) * n_pieces + piece
                    gpu.copy_16_bytes(words, to * (PIECE // WORD), images, (row + piece) * (PIECE // WORD))
            image += n_threads // lanes

    return load, store, begin_to_copy


def first_row_of(shape: Shape) -> int:
    """Where the numbers of the images in the buffers begin, in 32-bit integers."""
    return shape.n_bytes // 4 - BUFFERS * shape.n_images


def step_of(shape: Shape) -> tuple[Any, Any]:
    """The device functions of a step: what comes before its images' deltas are known, and what comes after."""
    multiply, activate = forward_of(shape)
    send_logits, receive_deltas = exchange_of(shape)
    add_pixels, (hidden_deltas, add_small) = pixels_of(shape), backward_of(shape)

    @device_function
    def forward(
        words: Any, reals: Any, buffer: int, n: int, shift: int, scale: Any, n_hidden: int, logits: Any, tag: Any
    ) -> None:
        multiply(words, reals, buffer, n, shift)
        cuda.syncthreads()
        activate(reals, n, shift, scale, n_hidden)
        cuda.syncthreads()
        send_logits(reals, logits, n, tag)

    @device_function
    def backward(words: Any, reals: Any, buffer: int, n: int, deltas: Any, tag: Any, gradient: Any) -> Any:
        receive_deltas(reals, deltas, n, tag)
        cuda.syncthreads()
        hidden_deltas(reals, n)
        cuda.syncthreads()
        add_pixels(words, reals, buffer, n, gradient)
        return add_small(reals, n)

    return forward, backward


def begin_of(shape: Shape) -> Any:
    """The device function that makes all ready for the first step, and names the images of the second."""
    n_threads, n_images, first_row = shape.n_threads, shape.n_images, first_row_of(shape)
    load, _, begin_to_copy = memory_of(shape)

    @device_function
    def begin(words: Any, reals: Any, rows: Any, images: Any, order: Any, steps: Any, own: Any, velocities: Any,
              logits: Any, deltas: Any) -> None:  # fmt: skip
        t, all_threads = cuda.threadIdx.x, n_threads * cuda.gridDim.x
        load(reals, own, velocities)
        for s in range(BUFFERS):
            if t < steps[s, SIZE]:
                rows[at(first_row + s * n_images + t)] = order[at(steps[s, START] + t)]
        cuda.syncthreads()
        begin_to_copy(words, images, rows, 0, steps[0, SIZE])
        for exchanged in (logits, deltas):  # no tag is 0
            for i in range(t + n_threads * cuda.blockIdx.x, len(exchanged), all_threads):
                exchanged[at(i)] = np.uint64(0)
        gpu.wait_for_copies()
        cuda.cg.this_grid().sync()

    return begin


def kernel_of(shape: Shape) -> Any:
    """The kernel, for at most most_blocks blocks of n_threads threads, each block with n_bytes of shared memory.

    images: words of pixels, one row after the other. labels, order: int32. steps: int32, (n_steps + 2, 5), see START;
    the last two are empty. rates, mu, scale: of the dtype. own, velocities: (blocks, n_parameters), changed in place.
    logits: words, for n_images x blocks x n_outputs numbers; deltas: for n_images x n_outputs. costs: one for each
    image of the plan; ends: int64, where each update's begin in it, and the end; means: one for each update.
    """
    real, n_images, first_row = shape.real, shape.n_images, first_row_of(shape)
    n_sums, scratch = WORD * shape.n_words * shape.n_units, shape.places["scratch"]
    begin, (forward, backward), (share, update) = begin_of(shape), step_of(shape), update_of(shape)
    _, store, begin_to_copy = memory_of(shape)
    reduce = reduce_of(shape)
    fill_in_means = means_of(real, shape.n_threads)

    @kernel(shape.n_threads)
    def train(images: Any, labels: Any, order: Any, steps: Any, rates: Any, mu: Any, scale: Any, n_hidden: int,
              own: Any, velocities: Any, logits: Any, deltas: Any, costs: Any, ends: Any,
              means: Any) -> None:  # fmt: skip
        t, u = cuda.threadIdx.x, 0
        words = cuda.shared.array(0, np.uint32, ALIGNED)
        reals, rows = cuda.shared.array(0, real), cuda.shared.array(0, np.int32)  # the same memory
        gradient, of_small = cuda.local.array(n_sums, real), real(0)
        for e in range(n_sums):
            gradient[e] = real(0)
        begin(words, reals, rows, images, order, steps, own, velocities, logits, deltas)
        done, n, n_next, shift, shift_next = 0, steps[0, SIZE], steps[1, SIZE], steps[0, SHIFT], steps[1, SHIFT]
        for s in range(len(steps) - 2):
            buffer, tag, n_whole, is_last, rate = s % 2 * n_images, s + 1, steps[s, WHOLE], steps[s, LAST], rates[u]
            # The next step's images come while this one's are multiplied: later they would delay what blocks exchange.
            begin_to_copy(words, images, rows, n_images - buffer, n_next)
            n_after, shift_after = steps[s + 2, SIZE], steps[s + 2, SHIFT]
            row = order[at(steps[s + 2, START] + t)] if t < n_after else 0
            forward(words, reals, buffer, n, shift, scale, n_hidden, logits, tag)
            reduce(reals, labels, rows, first_row + buffer, logits, deltas, costs, done, n, n_whole, tag)
            of_small += backward(words, reals, buffer, n, deltas, tag, gradient)
            if is_last:
                share(reals, gradient, of_small)
                cuda.syncthreads()
                update(reals, scale, rate, mu)
                of_small, u = real(0), u + 1
            if t < n_after:
                rows[at(first_row + buffer + t)] = row
            gpu.wait_for_copies()
            cuda.syncthreads()
            done, n, n_next, shift, shift_next = done + n, n_next, n_after, shift_next, shift_after
        store(reals, own, velocities)
        cuda.cg.this_grid().sync()  # all costs are written
        fill_in_means(costs, ends, means, reals, scratch)

    return train
