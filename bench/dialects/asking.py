"""Libraries are asked, each in fresh processes of its own, for a limited time; what they print disturbs nothing.

The functions of a file `ask_*.py` are named after questions (`questions.py`). The first line of a function's docstring
says what is asked, in the library's terms. A second function, with the ending `_as_contract`, does what the first line
of its docstring tells users to do, so that its answer shows whether that gives the contract's training. Where nothing
can be shown so, `ADVICE` has a line for the question.
"""

import importlib.metadata
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.dialects import NotAsked
from bench.dialects.plain import of_other_bits
from bench.dialects.questions import QUESTIONS, Answer, Value
from bench.timing import threads
from bench.timing.process import Child, ChildFailed, answer_with, in_one_line

LOADING = 120.0  # seconds that the import of a library may take
TIME_LIMIT = 60.0  # and each of its answers
THREADS = 2
REMEDY = "_as_contract"
ON_ONE_THREAD = "threads"  # the question whose answer is compared with that of a process with one thread


class Library(NamedTuple):
    """How a library is asked: the module with the questions, distributions that it needs, variables of its process."""

    module: str
    needs: tuple[str, ...]
    environment: Mapping[str, str] = {}


def _keras(backend: str, needs: str) -> Library:
    # Keras reads settings from a folder of the user's, and makes it; it is to answer with its defaults.
    return Library("ask_keras", ("keras", needs), {"KERAS_BACKEND": backend, "KERAS_HOME": os.devnull})


LIBRARIES = {
    "digitbench": Library("ask_digitbench", ()),
    "numpy": Library("ask_numpy", ("numpy",)),
    "scipy": Library("ask_scipy", ("scipy",)),
    "numba": Library("ask_numba", ("numba",)),
    "torch": Library("ask_torch", ("torch",)),
    "jax": Library("ask_jax", ("jax",), {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}),
    "sklearn": Library("ask_sklearn", ("scikit-learn",)),
    "keras:jax": _keras("jax", "jax"),
    "keras:torch": _keras("torch", "torch"),
    "optax": Library("ask_optax", ("optax", "jax")),
    "tinygrad": Library("ask_tinygrad", ("tinygrad",)),
    "autograd": Library("ask_autograd", ("autograd",)),
}


class Said(NamedTuple):
    """What came of one function: an answer, or why there is none. asked: the first line of its docstring."""

    asked: str
    answer: Answer | None = None
    not_asked: str | None = None  # what the library or the machine lacks for it
    failure: str | None = None


class Heard(NamedTuple):
    """What a library said to a question, and with its remedy if there is one. advice: where none can be shown."""

    library: str
    question: str
    said: Said
    remedied: Said | None = None
    advice: str | None = None


class Listing(NamedTuple):
    """What a module asks: functions with the first lines of their docstrings, in the order of the questions."""

    functions: dict[str, str]
    advice: dict[str, str]


def versions(name: str) -> str:
    """The library and what it runs on, with versions. Raises PackageNotFoundError where one is not installed."""
    return ", ".join(f"{one} {importlib.metadata.version(one)}" for one in LIBRARIES[name].needs)


def ask_each(names: Sequence[str], seconds: float = TIME_LIMIT) -> Iterator[tuple[str, list[Heard] | str]]:
    """Ask one library after the other; yield what each said, or why it could not be asked at all."""
    for name in names:
        try:
            yield name, ask(name, LIBRARIES[name], seconds)
        except ChildFailed as failure:
            yield name, str(failure)


def ask(name: str, library: Library, seconds: float = TIME_LIMIT) -> list[Heard]:
    """Ask one library all that its module asks. Raises ChildFailed where it cannot be imported.

    An answer that takes longer than `seconds`, or ends the process, is a failure of that question alone.
    """
    conversation = Conversation(library, seconds, min(THREADS, threads.cores()))
    with conversation:
        listing = conversation.listing
        said = {function: conversation.ask(function) for function in listing.functions}
        if ON_ONE_THREAD in said:
            said[ON_ONE_THREAD] = compared(said[ON_ONE_THREAD], library, seconds)
    heard = []
    for question in QUESTIONS:
        if question in said:
            others = said.get(question + REMEDY), listing.advice.get(question)
            heard.append(Heard(name, question, said[question], *others))
    return heard


class Conversation:
    """A process of a library, begun anew after a function that hangs or ends it; use it in a `with`."""

    def __init__(self, library: Library, seconds: float, n_threads: int) -> None:
        self.library, self.seconds, self.n_threads = library, seconds, n_threads
        self.begin()

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Start the process and import the library in it. Raises ChildFailed where that fails."""
        library = self.library
        self.child = Child(work, library.module, n_threads=self.n_threads, environment=library.environment)
        self.ended = False
        try:
            self.reply(LOADING)
            self.listing: Listing = self.request("listing")
        except ChildFailed:
            self.end()
            raise

    def end(self) -> None:
        """End the process."""
        self.child.__exit__()
        self.ended = True

    def reply(self, seconds: float) -> Any:
        """The next answer of the process. Raises ChildFailed for a failure."""
        state, value = self.child.answer(seconds)
        if state == "failed":
            raise ChildFailed("fails", value)
        return value

    def request(self, name: str, *values: object) -> Any:
        """Have a method of `Asker` called in the process; return its answer."""
        self.child.send((name, *values))
        return self.reply(self.seconds)

    def ask(self, function: str) -> Said:
        """What a function of the module says. Where the process hangs or dies, why; the next begins a new one."""
        try:
            if self.ended:
                self.begin()
            said: Said = self.request("ask", function)
        except ChildFailed as failure:
            self.end()
            return Said(self.listing.functions[function], failure=str(failure))
        return said


def compared(said: Said, library: Library, seconds: float) -> Said:
    """The share of results that differ between the process that said this and one with one thread."""
    if said.answer is None:
        return said
    if threads.cores() < THREADS:
        return said._replace(answer=None, not_asked="this process may use one core alone")
    try:
        with Conversation(library, seconds, 1) as conversation:
            other = conversation.ask(ON_ONE_THREAD)
    except ChildFailed as failure:
        return said._replace(answer=None, failure=f"on one thread: {failure}")
    return other if other.answer is None else said._replace(answer=[of_other_bits(said.answer, other.answer)])


# --- in the process of a library -----------------------------------------------------------------------------


def work(connection: Connection, module: str) -> None:
    """What the process does. Its output goes nowhere, also what bypasses Python's streams."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    answer_with(connection, Asker, module)


class Asker:
    """Calls the functions of a module, by its name in this folder or a dotted path."""

    def __init__(self, module: str) -> None:
        self.module = import_module(module if "." in module else f"{__package__}.{module}")

    def listing(self) -> Listing:
        """The functions that are named after questions, with what they ask."""
        names = [name + ending for name in QUESTIONS for ending in ("", REMEDY) if hasattr(self.module, name + ending)]
        return Listing(
            {name: first_line(getattr(self.module, name)) for name in names}, getattr(self.module, "ADVICE", {})
        )

    def ask(self, name: str) -> Said:
        """Call a function. It may raise NotAsked; anything else that it raises is a failure."""
        function = getattr(self.module, name)
        try:
            return Said(first_line(function), answer=plain_values(function()))
        except NotAsked as reason:
            return Said(first_line(function), not_asked=str(reason))
        except Exception as error:  # whatever the library raises, which costs this answer alone
            return Said(first_line(function), failure=in_one_line(error))


def first_line(function: Callable[..., object]) -> str:
    """The first line of a function's docstring, without its full stop."""
    return (inspect.getdoc(function) or function.__name__).partition("\n")[0].rstrip(".")


def plain_values(value: Any) -> Answer:
    """Numbers and words, as records take them; a number that is not finite becomes a word."""
    values: list[Any] = np.ravel(value).tolist() if not isinstance(value, list | tuple) else list(value)
    return [one if isinstance(one, str) else plain_number(float(one)) for one in values]


def plain_number(number: float) -> Value:
    """The number, or its name where it is not finite."""
    return number if np.isfinite(number) else str(number)
