"""`python -m data fetch | show | info`: download MNIST, draw the first digits, show which digits are used."""

import logging
import os
import shutil
import sys
from pathlib import Path

import numpy as np

import data
from command_line import Parser, exit_code
from data import DataError, Dataset, Digits, family, mnist
from data.digits import SIDE
from data.drawing import drawing

SHOWN = 10  # images


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""

    def work() -> int:
        options = make_parser().parse_args(arguments)
        logging.basicConfig(format="%(message)s")
        data.logger.setLevel(logging.INFO)
        if options.command == "fetch":
            fetch()
        elif options.command == "show":
            show(data.load(options.data), options.split, options.png)
        else:
            info(data.load(options.data))
        return 0

    return exit_code(work, DataError)


def make_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m data", description="MNIST, or digits that stand in for it.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("fetch", "Download the four files of MNIST and verify their checksums"),
        ("show", "Draw the first ten images with their labels"),
        ("info", "Show which digits are used, what they are, and where they are stored"),
    ):
        command = commands.add_parser(name, help=summary, description=f"{summary}.")
        if name != "fetch":
            command.add_argument(
                "--data",
                default="auto",
                metavar="SOURCE",
                help="Use these digits: auto, mnist, builtin, a folder with the four files, or an .npz "
                "(default: %(default)s)",
            )
        if name == "show":
            add = command.add_argument
            add("--split", choices=("train", "test"), default="train", help="Draw this split (default: %(default)s)")
            add("--png", type=Path, metavar="FILE", help="Write a picture to this file (default: draw in the terminal)")
    return parser


# --- fetch -----------------------------------------------------------------------------------------------


def fetch() -> None:
    """Download the files that are missing or wrong, and print where they are."""
    wanted = mnist.absent_or_wrong(data.CACHE / "mnist")
    folder = data.fetch()
    done = f"Downloaded {len(wanted)} of {len(mnist.FILES)} files" if wanted else "Nothing to download"
    print(f"{done}; MNIST is in {folder}, checksums verified.")
    if os.environ.get(data.VARIABLE):
        print(f"{data.VARIABLE} is set and takes precedence: {os.environ[data.VARIABLE]}")


# --- show ------------------------------------------------------------------------------------------------


def show(dataset: Dataset, split: str, png: Path | None) -> None:
    """Draw the first images of a split with their labels, in the terminal or to a PNG file."""
    digits = dataset.train if split == "train" else dataset.test
    first = Digits(digits.images[:SHOWN], digits.labels[:SHOWN])
    title = f"{dataset.name}: the first {len(first.labels)} of {len(digits.labels):,} {split} images"
    if png is not None:
        write_picture(first, title, dataset.notice, png)
        print(f"Wrote {png}")
    else:
        print(title)
        print(drawing(first, shutil.get_terminal_size().columns, sys.stdout.encoding))
    if dataset.notice:
        print(dataset.notice)


def write_picture(digits: Digits, title: str, notice: str | None, path: Path) -> None:
    """Write the digits as a PNG, whatever a user's settings of matplotlib. Raises DataError if that fails."""
    os.environ["MPLBACKEND"] = "agg"  # read at the import; it may name a window or a notebook that is not there
    import matplotlib.style

    with matplotlib.style.context("default"):
        draw_picture(digits, title, notice, path)


def draw_picture(digits: Digits, title: str, notice: str | None, path: Path) -> None:
    """Write the digits as a PNG. Raises DataError if the file cannot be written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    figure.suptitle(title)
    if notice:
        figure.supxlabel(notice, fontsize="x-small")
    for axes in figure.subplots(2, SHOWN // 2).flat:
        axes.set_axis_off()
    for axes, image, label in zip(figure.axes, digits.images, digits.labels, strict=False):
        axes.imshow(image.reshape(SIDE, SIDE), cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(str(label))
    try:
        figure.savefig(path, format="png", dpi=150)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another file") from None


# --- info ------------------------------------------------------------------------------------------------


def info(dataset: Dataset) -> None:
    """Print what the digits are, their counts, and the folders from which they can come."""
    from rich.console import Console
    from rich.table import Table

    print(f"Data:     {dataset.name}, from: {dataset.source}")
    print(f"SHA-256:  {dataset.sha256}")
    splits = (dataset.train, dataset.test)
    print(f"Files:    {dataset.files}")
    print(f"Classes:  {dataset.classes}")
    print(f"Pictures: {dataset.orientation}")
    print(f"Known:    {_known(dataset)}")
    table = Table("", box=None, pad_edge=False)
    table.add_column("train", justify="right")
    table.add_column("test", justify="right")
    table.add_row("images", *(f"{len(digits.labels):,}" for digits in splits))
    table.add_row("pixels of each", *(f"{SIDE} x {SIDE}" for _ in splits))
    table.add_row("non-zero pixels", *(f"{_share_of_ink(digits):.2%}" for digits in splits))
    for label in range(dataset.classes):
        table.add_row(f"label {label}", *(f"{np.sum(digits.labels == label):,}" for digits in splits))
    Console().print(table)

    present = "all four files" if mnist.is_complete(data.CACHE / "mnist") else "not complete"
    kept = [folder.name for folder in data.CACHE.glob("builtin-*")]
    print(f"{data.VARIABLE}: {os.environ.get(data.VARIABLE) or 'not set'}")
    print(f"Download: {data.CACHE / 'mnist'} ({present})")
    print(f"Built-in: {data.CACHE} ({', '.join(kept) or 'not generated yet'})")
    for line in dataset.lines():
        print(line)


def _known(dataset: Dataset) -> str:
    """Return whether the set is recognised, or else which sets of MNIST's family have as many images and classes."""
    if "not checked" not in dataset.orientation:
        return f"{dataset.name}, {dataset.orientation}"
    alike = family.of_size(len(dataset.train.labels), len(dataset.test.labels), dataset.classes)
    return f"no, by checksums; as many images and classes as {family.named(alike) if alike else 'no set known here'}"


def _share_of_ink(digits: Digits) -> float:
    return float(np.count_nonzero(digits.images) / digits.images.size)


if __name__ == "__main__":
    sys.exit(main())
