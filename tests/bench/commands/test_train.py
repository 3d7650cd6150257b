"""`python -m bench train`: what it prints, that each option counts, and one line for whatever cannot be."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import data
import impls
from bench.__main__ import main
from bench.timing import threads
from bench.training.saved import load_network, save_network
from data import Digits, mnist
from impls.contract import Layer, Network
from impls.initialisation import INITIALISATIONS, initial_parameters
from tests.helpers.command import with_usual

ROOT = Path(__file__).parents[3]
BACKENDS = ("naive", "vectorized", "minibatch", "numba", "numba_dense", "numba_sparse")


class Done(NamedTuple):
    """What a command left behind."""

    code: int | str | None
    out: str
    err: str


Bench = Callable[..., Done]


@pytest.fixture(autouse=True)
def _leave_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(data.logger, "level", data.logger.level)
    monkeypatch.setattr("bench.RESULTS", tmp_path / "results")


def patterns(n: int, seed: int) -> Digits:
    """Digits that can be learned: each class a pattern, a tenth of whose pixels are noise in each image."""
    of_class = np.random.default_rng(0).integers(0, 5, (10, 784)) // 4 * 255
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    noise = rng.random((n, 784)) < 0.1
    return Digits(np.where(noise, rng.integers(0, 256, (n, 784)), of_class[labels]).astype(np.uint8), labels)


TRAIN, TEST = patterns(300, seed=1), patterns(100, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 training and 100 test images as files."""
    path = tmp_path_factory.mktemp("digits")
    mnist.write_folder(path, TRAIN, TEST)
    return path


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """`python -m bench` with these arguments, in this process."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code: int | str | None
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as left:  # argparse's way
            code = left.code
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def train(bench: Bench, folder: Path) -> Bench:
    """`python -m bench train` on the small digits, which has to end well."""

    def run(*arguments: object) -> Done:
        done = bench("train", *with_usual(["--data", folder], arguments))
        assert (done.code, done.err) == (0, "")
        return done

    return run


@pytest.fixture
def record_of(train: Bench, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The JSON of a training."""

    def run(*arguments: object) -> dict[str, Any]:
        train("--output", tmp_path / "record.json", *arguments)
        content: dict[str, Any] = json.loads((tmp_path / "record.json").read_text())
        return content

    return run


def one_line_of(done: Done) -> str:
    """What a command that failed says."""
    assert done.code not in (0, None)
    assert done.err.startswith("error: ")
    assert done.err.endswith("\n")
    assert done.err.count("\n") == 1
    return done.err


# --- what it prints ----------------------------------------------------------------------------------------


def test_printed_in_the_order_of_the_article(train: Bench) -> None:
    lines = [line for line in train("--epochs", 3).out.splitlines() if line.strip()]
    share = r"(\d+\.\d\d)% of the 300 training images, (\d+\.\d\d)% of the 100 test images"
    seconds = r"\d+\.\d{3} s"
    expected = [
        r"Data: not MNIST \(\w{12}\), from folder \S+; accuracies are not comparable with published ones of MNIST\.",
        r"Output for the first training image: \[(?:\d\.\d+ *){10}\]",
        r"It is taken for a (\d) with confidence (0\.\d{3}); it is a (\d)\.",
        f"Correct after initialisation: {share}",
        r"Cost at the start: \d\.\d+",
        r"Cost after epoch 1: \d\.\d+",
        r"Cost after epoch 2: \d\.\d+",
        r"Cost after epoch 3: \d\.\d+",
        f"Correct after 3 epochs: {share}",
        rf"Training took {seconds} wall, {seconds} user, {seconds} system; preparing the images {seconds}\.",
    ]
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line), line


def test_what_is_printed_is_true(train: Bench) -> None:
    """Computed here once more, from the defaults that the help states."""
    network = Network((784, 80, 10), "sigmoid", "sigmoid", "quadratic", 1 / 255)
    parameters = initial_parameters(network, "lecun_normal", 0, "float32")
    naive = impls.load("naive")
    outputs = naive.outputs(network, parameters, naive.prepare(network, TRAIN.images, None, "float32"))
    of_test = naive.outputs(network, parameters, naive.prepare(network, TEST.images, None, "float32"))
    share = (outputs.argmax(axis=1) == TRAIN.labels).mean(), (of_test.argmax(axis=1) == TEST.labels).mean()
    cost = ((outputs - np.eye(10)[TRAIN.labels]) ** 2).sum() / 600

    printed = train("--epochs", 1).out
    answer, confidence = outputs[0].argmax(), outputs[0].max()
    assert f"It is taken for a {answer} with confidence {confidence:.3f}; it is a {TRAIN.labels[0]}." in printed
    assert f"after initialisation: {share[0]:.2%} of the 300 training images, {share[1]:.2%} of the" in printed
    vector = re.search(r"image: \[([^]]*)\]", printed)
    start = re.search(r"Cost at the start: (\S+)", printed)
    assert vector
    assert start
    np.testing.assert_allclose([float(number) for number in vector[1].split()], outputs[0], atol=1e-4)
    assert float(start[1]) == pytest.approx(cost, rel=1e-4)


def test_it_learns(train: Bench) -> None:
    printed = train("--output-activation", "softmax", "--batch", 30, "--epochs", 10, "--learning-rate", 0.5).out
    after = re.search(r"Correct after 10 epochs: (\S+)% of the 300 training images, (\S+)% of the 100 test", printed)
    assert after
    assert min(float(after[1]), float(after[2])) > 95


def test_data_of_the_environment(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(data.VARIABLE, str(folder))
    done = bench("train", "--epochs", 1)
    assert done.code == 0
    assert "of the 300 training images" in done.out


# --- the options -------------------------------------------------------------------------------------------

SHORT = ("--epochs", 2, "--batch", 100)


@pytest.mark.parametrize(
    "option",
    [
        ("--network", "784-30-10"),
        ("--network", "784-10"),
        ("--network", "784-16-16-10"),
        ("--hidden", "relu"),
        ("--hidden", "tanh"),
        ("--output-activation", "relu"),
        ("--output-activation", "softmax"),
        ("--pixel-scale", "0.002"),
        *(("--init", name) for name in INITIALISATIONS if name != "lecun_normal"),
        ("--batch", "60"),
        ("--batch", "all"),
        ("--batch", "default"),
        ("--order", "shuffled"),
        ("--epochs", "3"),
        ("--learning-rate", "0.5"),
        ("--learning-rate", "0"),
        ("--schedule", "linear"),
        ("--momentum", "0.5"),
        ("--seed", "1"),
        ("--dtype", "float64"),
        ("--limit", "200"),
    ],
    ids=" ".join,
)
def test_every_option_counts(option: tuple[str, str], record_of: Callable[..., dict[str, Any]]) -> None:
    without, changed = record_of(*SHORT), record_of(*with_usual(SHORT, option))
    assert without["costs"] != changed["costs"]
    name = option[0].removeprefix("--").replace("-", "_")
    assert without["options"][name] != changed["options"][name]


def test_the_same_options_give_the_same_costs(record_of: Callable[..., dict[str, Any]]) -> None:
    options = (*SHORT, "--order", "shuffled", "--momentum", 0.9)
    assert record_of(*options)["costs"] == record_of(*options)["costs"]


@pytest.mark.parametrize("option", ["--seed", "--order"])
def test_seed_and_order_of_shuffling(option: str, record_of: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """From the same parameters, another order and another seed of it make another training."""
    network = Network((784, 10))
    save_network(tmp_path / "start.npz", network, initial_parameters(network, "lecun_normal", 0, "float32"))
    loaded = (*SHORT, "--load", tmp_path / "start.npz")
    base, other = {
        "--seed": (("--order", "shuffled", "--seed", 0), ("--order", "shuffled", "--seed", 1)),
        "--order": (("--order", "file"), ("--order", "shuffled")),
    }[option]
    first, second = record_of(*loaded, *base)["costs"], record_of(*loaded, *other)["costs"]
    assert first[0] == second[0]
    assert first[1:] != second[1:]


def test_limit_takes_all_digits(record_of: Callable[..., dict[str, Any]], train: Bench, tmp_path: Path) -> None:
    mnist.write_folder(tmp_path / "fewer", TRAIN.spread(200), TEST)
    assert record_of("--limit", 200, *SHORT)["costs"] == record_of("--data", tmp_path / "fewer", *SHORT)["costs"]
    assert "of the 200 training images, " in train("--limit", 200, *SHORT).out


def test_a_file_that_is_sorted_by_label(bench: Bench, folder: Path, tmp_path: Path) -> None:
    order = np.argsort(TRAIN.labels, kind="stable")
    mnist.write_folder(tmp_path / "sorted", Digits(TRAIN.images[order], TRAIN.labels[order]), TEST)
    line = "The training images are sorted by label"
    assert line in bench("train", "--data", tmp_path / "sorted", *SHORT).out
    assert line not in bench("train", "--data", folder, *SHORT).out


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend(name: str, record_of: Callable[..., dict[str, Any]]) -> None:
    """On the same plan all train alike; "default" is the default batch size of each."""
    options = ("--epochs", 2, "--momentum", 0.5, "--backend")
    costs = record_of(*options, name, "--batch", 128)["costs"]
    np.testing.assert_allclose(costs, record_of(*options, "naive", "--batch", 128)["costs"], rtol=1e-4)
    home = impls.load(name).BATCH_SIZE or "all"
    assert record_of(*options, name)["costs"] == record_of(*options, name, "--batch", home)["costs"]


def test_the_default_batch_size_with_fewer_images(record_of: Callable[..., dict[str, Any]]) -> None:
    options = ("--backend", "minibatch", "--epochs", 1, "--limit", 50)
    assert record_of(*options)["costs"] == record_of(*options, "--batch", "all")["costs"]


def test_json(record_of: Callable[..., dict[str, Any]], folder: Path) -> None:
    record = record_of("--epochs", 3, "--output-activation", "softmax")
    assert record["options"]["epochs"] == 3
    assert record["options"]["backend"] == "vectorized"
    assert record["options"]["data"] == str(folder)
    assert record["network"] == "784-80-10 sigmoid, softmax with cross_entropy"
    dataset = data.load(str(folder))
    assert record["data"] == {"name": dataset.name, "sha256": dataset.sha256, "notice": dataset.notice}
    assert len(record["costs"]) == len(record["seconds"]) == 4
    assert all(cost > 0 for cost in record["costs"])
    assert record["seconds"][0] == {"wall": 0, "user": 0, "system": 0}
    wall = [point["wall"] for point in record["seconds"]]
    assert wall == sorted(wall)
    assert wall[-1] > 0
    for when in ("before", "after"):
        assert record["accuracy"][when].keys() == {"training", "test"}
        assert all(0 <= share <= 1 for share in record["accuracy"][when].values())
    assert record["threads"] == record["machine"]["threads"]
    assert record["machine"]["libraries"]["numpy"] == np.__version__


def test_a_saved_network_is_loaded_and_trained_further(
    record_of: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    saved = tmp_path / "network.npz"
    options = ("--hidden", "tanh", "--network", "784-20-10", "--pixel-scale", 0.01)
    whole = record_of("--epochs", 4, *options)["costs"]
    first = record_of("--epochs", 2, *options, "--save", saved)
    second = record_of("--epochs", 2, "--load", saved)
    assert first["costs"] == whole[:3]
    assert second["costs"] == whole[2:]
    assert second["network"] == first["network"]
    assert second["accuracy"]["before"] == first["accuracy"]["after"]


def test_save_says_where(train: Bench, tmp_path: Path) -> None:
    printed = train("--epochs", 1, "--save", tmp_path / "network.npz").out
    assert printed.splitlines()[-1] == f"Network saved in {tmp_path / 'network.npz'}"
    assert [path.name for path in tmp_path.glob("network*")] == ["network.npz"]


def test_a_network_of_other_digits_is_named(train: Bench, tmp_path: Path, folder: Path) -> None:
    train("--epochs", 1, "--save", tmp_path / "network.npz")
    saved = load_network(tmp_path / "network.npz")
    assert saved.data_sha256 == data.load(str(folder)).sha256
    assert "other digits" not in train("--epochs", 1, "--load", tmp_path / "network.npz").out
    save_network(tmp_path / "network.npz", saved.network, saved.parameters, "ab" * 32)
    line = f"{tmp_path / 'network.npz'}: was trained on other digits (SHA-256 abababababab...) than these, not MNIST"
    assert line in train("--epochs", 1, "--load", tmp_path / "network.npz").out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_network_trains_in_the_dtype_asked_for(train: Bench, tmp_path: Path, dtype: str) -> None:
    train("--epochs", 1, "--save", tmp_path / "single.npz")
    train("--epochs", 1, "--load", tmp_path / "single.npz", "--dtype", dtype, "--save", tmp_path / "next.npz")
    assert load_network(tmp_path / "next.npz")[1][0].weights.dtype == dtype


def run_alone(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m bench` in a process of its own, which keeps the machine's name elsewhere."""
    code = (
        "import sys; from pathlib import Path; import bench; bench.RESULTS = Path(sys.argv.pop(1));"
        "from bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "results"), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name not in threads.VARIABLES}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_threads(folder: Path, tmp_path: Path) -> None:
    options = ("--backend", "numba", "--data", folder, "--epochs", 1, "--output", tmp_path / "record.json")
    done = run_alone(tmp_path, "train", *options, "--threads", 1)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "record.json").read_text())["threads"]
    assert "numba" in found
    assert set(found.values()) == {1}


# --- bad input ---------------------------------------------------------------------------------------------

TOO_MANY = threads.cores() + 1


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        (("--backend", "vectorised"), ("'vectorised'", "did you mean 'vectorized'", "naive, vectorized")),
        (("--batch", "0"), ("'0'", "whole number from 1")),
        (("--batch", "-5"), ("'-5'", "whole number from 1")),
        (("--batch", "2.5"), ("'2.5'", "whole number from 1")),
        (("--batch", "many"), ("'many'", "whole number from 1")),
        (("--batch", "301"), ("batch 301", "1 to 300", "training images")),
        (("--batch", "201", "--limit", "200"), ("batch 201", "1 to 200")),
        (("--learning-rate", "-0.1"), ("'-0.1'", "finite number from 0")),
        (("--learning-rate", "nan"), ("'nan'", "finite number from 0")),
        (("--learning-rate", "inf"), ("'inf'", "finite number from 0")),
        (("--learning-rate=-inf",), ("'-inf'", "finite number from 0")),
        (("--learning-rate", "1e999"), ("'1e999'", "finite number from 0")),
        (("--learning-rate", "fast"), ("'fast'", "finite number from 0")),
        (("--momentum", "1"), ("'1'", "below 1")),
        (("--momentum", "-0.5"), ("'-0.5'", "from 0 and below 1")),
        (("--momentum", "nan"), ("'nan'", "below 1")),
        (("--pixel-scale", "0"), ("--pixel-scale", "'0'")),
        (("--pixel-scale", "-1"), ("--pixel-scale", "'-1'")),
        (("--pixel-scale", "nan"), ("--pixel-scale", "'nan'")),
        (("--epochs", "0"), ("--epochs", "'0'", "from 1")),
        (("--limit", "0"), ("--limit", "'0'", "from 1")),
        (("--seed", "-1"), ("--seed", "'-1'", "from 0")),
        (("--network", "100-10"), ("784 pixels", "100 inputs", "784-...-10")),
        (("--network", "784-80-5"), ("label ", "expected 0 to 4", "5 outputs")),
        (("--network", "784"), ("'784'", "like 784-80-10")),
        (("--network", "784-0-10"), ("'784-0-10'", "like 784-80-10")),
        (("--network", "784-x-10"), ("'784-x-10'", "like 784-80-10")),
        (("--hidden", "step"), ("--hidden", "'step'", "tanh")),
        (("--output-activation", "tanh"), ("--output-activation", "'tanh'", "softmax")),
        (("--init", "zeros"), ("--init", "'zeros'", "he_normal")),
        (("--dtype", "float16"), ("--dtype", "'float16'", "float64")),
        (("--order", "random"), ("--order", "'random'", "shuffled")),
        (("--schedule", "cosine"), ("--schedule", "'cosine'", "linear")),
        (("--data", "no/such/folder"), ("no/such/folder", "not a folder")),
        (("--load", "no/such/file.npz"), ("no/such/file.npz", "No such file")),
        (("--threads", "0"), ("0 threads", "cores")),
        (("--threads", str(TOO_MANY)), (f"{TOO_MANY} threads", f"1 to {TOO_MANY - 1}")),
        (("--threads", "two"), ("--threads", "'two'", "whole number")),
        (("--colour", "blue"), ("--colour",)),
        (("--epochs",), ("--epochs", "argument")),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_bad_input(
    arguments: tuple[str, ...], mentioned: tuple[str, ...], bench: Bench, folder: Path, tmp_path: Path
) -> None:
    """One line; nothing was trained, and what an earlier run has written is still there."""
    saved, record = tmp_path / "network.npz", tmp_path / "record.json"
    saved.write_text("an earlier network")
    record.write_text("an earlier record")
    done = bench("train", *with_usual(["--data", folder, "--save", saved, "--output", record], arguments))
    line = one_line_of(done)
    assert not [part for part in mentioned if part not in line], line
    assert "Cost" not in done.out
    assert saved.read_text() == "an earlier network"
    assert record.read_text() == "an earlier record"


def test_unknown_command(bench: Bench) -> None:
    assert "'trian'" in one_line_of(bench("trian"))


@pytest.mark.parametrize("option", ["--save", "--output"])
def test_a_file_that_cannot_be_written_is_refused_before_training(
    option: str, bench: Bench, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    for place in (tmp_path, tmp_path / "absent" / "out", tmp_path / "a file" / "out"):
        done = bench("train", "--data", folder, option, place)
        line = one_line_of(done)
        assert str(place) in line
        assert "expected a file in a folder that exists" in line
        assert done.out == ""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_write_protected_file_is_refused_before_training(bench: Bench, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "network.npz").touch(mode=0o400)
    assert "can be written" in one_line_of(bench("train", "--data", folder, "--save", tmp_path / "network.npz"))


@pytest.mark.parametrize("option", ["--network", "--hidden", "--output-activation", "--pixel-scale", "--init"])
def test_load_brings_the_network(option: str, bench: Bench, folder: Path, tmp_path: Path) -> None:
    network = Network((784, 10))
    save_network(tmp_path / "n.npz", network, initial_parameters(network, "he_normal", 0, "float32"))
    value = {
        "--network": "784-10",
        "--hidden": "relu",
        "--output-activation": "relu",
        "--pixel-scale": 1,
        "--init": "he_normal",
    }
    done = bench("train", "--data", folder, "--load", tmp_path / "n.npz", option, value[option])
    assert f"{option} with --load" in one_line_of(done)


def test_nan_in_loaded_parameters(bench: Bench, folder: Path, tmp_path: Path) -> None:
    network = Network((784, 10))
    ((weights, biases),) = initial_parameters(network, "he_normal", 0, "float32")
    weights[5, 7] = np.nan
    save_network(tmp_path / "n.npz", network, (Layer(weights, biases),))
    line = one_line_of(bench("train", "--data", folder, "--load", tmp_path / "n.npz"))
    assert "n.npz: layer 1: weights hold nan at [5, 7], expected finite numbers" in line


def test_a_loaded_network_that_does_not_fit(bench: Bench, folder: Path, tmp_path: Path) -> None:
    network = Network((100, 10))
    save_network(tmp_path / "n.npz", network, initial_parameters(network, "he_normal", 0, "float32"))
    line = one_line_of(bench("train", "--data", folder, "--load", tmp_path / "n.npz"))
    assert "784 pixels" in line
    assert "100 inputs" in line


@pytest.mark.parametrize(
    ("rate", "options"),
    [
        (1e10, ("--output-activation", "relu", "--batch", 50)),  # the parameters become NaN
        (
            1e20,
            ("--output-activation", "softmax", "--batch", "all", "--network", "784-10-10"),
        ),  # the outputs become infinite
    ],
    ids=["NaN", "infinite"],
)
@pytest.mark.parametrize("name", BACKENDS)
def test_a_training_that_diverges(
    name: str, rate: float, options: tuple[object, ...], bench: Bench, folder: Path, tmp_path: Path
) -> None:
    """That is reported in one line, and a network that an earlier run saved is not overwritten."""
    saved, record = tmp_path / "network.npz", tmp_path / "record.json"
    saved.write_text("an earlier network")
    common = ("--data", folder, "--hidden", "relu", "--epochs", 4, "--learning-rate", rate)
    done = bench("train", *common, *options, "--backend", name, "--save", saved, "--output", record)
    line = one_line_of(done)
    assert "expected" in line
    assert f"learning rate below {rate:g}" in line
    assert saved.read_text() == "an earlier network"
    assert json.loads(record.read_text())["costs"][-1] is None


def test_an_interrupted_training(bench: Bench, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = tmp_path / "network.npz"
    saved.write_text("an earlier network")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(impls.load("vectorized"), "train", interrupted)
    done = bench("train", "--data", folder, "--save", saved)
    assert (done.code, done.err) == (130, "interrupted\n")
    assert saved.read_text() == "an earlier network"


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = run_alone(tmp_path, "train", "--backend", "nunba")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: backend 'nunba' is unknown: did you mean 'numba'\? There are: .*\n", done.stderr)
