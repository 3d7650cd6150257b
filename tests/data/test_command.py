"""`python -m data`: what each command prints; errors are one line, not a traceback."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench
import data
from data import Digits, mnist, reading
from data.__main__ import main
from data.drawing import drawing

ROOT = bench.ROOT


@pytest.fixture(autouse=True)
def _nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(data.VARIABLE, raising=False)
    monkeypatch.delenv(reading.ORIENTATION, raising=False)
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("COLUMNS", "80")


def bars(n: int) -> Digits:
    """Image i has i + 1 rows of full ink at the top, and background below; its label is i % 10."""
    images = np.zeros((n, 28, 28), np.uint8)
    for i in range(n):
        images[i, : i + 1] = 255
    return Digits(images.reshape(n, 784), np.arange(n) % 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mnist.write_folder(tmp_path / "digits", bars(14), bars(3))
    return tmp_path / "digits"


# --- drawing ---------------------------------------------------------------------------------------------


def test_half_blocks() -> None:
    lines = drawing(bars(3), columns=28, encoding="utf-8").split("\n")
    empty = [""] * 13
    assert lines[:15] == ["0", "▀" * 28, *empty]
    assert lines[15:30] == ["1", "█" * 28, *empty]
    assert lines[30:] == ["2", "█" * 28, "▀" * 28, *empty[1:]]


def test_lower_half_block() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 27, 3] = 255
    lines = drawing(Digits(image.reshape(1, 784), np.array([4])), columns=80, encoding="utf-8").split("\n")
    assert lines[-1] == "   ▄"


@pytest.mark.parametrize(("columns", "across"), [(1, 1), (28, 1), (57, 1), (58, 2), (80, 2), (88, 3), (300, 10)])
def test_as_many_side_by_side_as_fit(columns: int, across: int) -> None:
    lines = drawing(bars(10), columns, "utf-8").split("\n")
    assert lines[0].split() == [str(label) for label in range(across)]
    assert max(map(len, lines)) == 30 * across - 2
    assert len(lines) == 15 * -(-10 // across)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding", None])
def test_shades_where_blocks_cannot_be_encoded(encoding: str | None) -> None:
    lines = drawing(bars(2), columns=80, encoding=encoding).split("\n")
    assert lines[1] == "=" * 28 + "  " + "@" * 28
    assert "".join(lines).isascii()


# --- show ------------------------------------------------------------------------------------------------


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--data", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    dataset = data.load(str(folder))
    assert lines[0] == f"{dataset.name}: the first 10 of 14 train images"
    assert [lines[1 + 15 * row].split() for row in range(5)] == [[str(2 * i), str(2 * i + 1)] for i in range(5)]
    assert lines[-1] == dataset.notice
    assert len(lines) == 1 + 5 * 15 + 1


def test_show_fewer_than_ten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--data", str(folder), "--split", "test"]) == 0
    assert "the first 3 of 3 test images" in capsys.readouterr().out


def test_show_png(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "first.picture"
    assert main(["show", "--data", str(folder), "--split", "test", "--png", str(path)]) == 0
    output = capsys.readouterr().out
    assert f"Wrote {path}" in output
    assert data.load(str(folder)).notice in output.splitlines()
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        assert picture.format == "PNG"
        assert picture.size == (1200, 600)
        grey = np.asarray(picture.convert("L"))
    assert np.mean(grey < 10) > 0.005  # ink was drawn, black
    assert np.mean(grey > 250) > 0.5  # on white


def test_show_png_where_it_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "absent" / "first.png"
    assert main(["show", "--data", str(folder), "--png", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {path}: cannot be written (No such file or directory); choose another file\n"
    )


# --- info ------------------------------------------------------------------------------------------------


def test_info(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(data.VARIABLE, str(folder))
    assert main(["info"]) == 0
    output = capsys.readouterr().out
    dataset = data.load()
    rows = [line.split() for line in output.splitlines()]
    assert output.splitlines()[0] == f"Data:     {dataset.name}, from: {data.VARIABLE}"
    assert ["SHA-256:", dataset.sha256] in rows
    assert ["images", "14", "3"] in rows
    assert ["non-zero", "pixels", "26.79%", "7.14%"] in rows  # mean of 1..14 and of 1..3, of 28 rows
    assert ["label", "0", "2", "1"] in rows
    assert ["label", "9", "1", "0"] in rows
    assert f"{data.VARIABLE}: {folder}" in output
    assert f"Download: {data.CACHE / 'mnist'} (not complete)" in output
    assert "not generated yet" in output
    assert output.splitlines()[-1] == dataset.notice


# --- fetch -----------------------------------------------------------------------------------------------


def test_fetch_when_all_files_are_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = tuple(
        mnist.File(file.name, digest, "no gzip here")
        for file, digest in zip(mnist.FILES, mnist.digests_of(bars(14), bars(3)), strict=True)
    )
    monkeypatch.setattr(mnist, "FILES", files)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    download = folder.rename(tmp_path / "cache" / "mnist")
    assert main(["fetch"]) == 0
    assert capsys.readouterr().out == (f"Nothing to download; MNIST is in {download}, checksums verified.\n")


def test_fetch_with_a_file_that_cannot_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "cache").mkdir()
    download = folder.rename(tmp_path / "cache" / "mnist")
    monkeypatch.setattr(Path, "open", refuse)
    assert main(["fetch"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error == (
        f"error: {download / 'train-images-idx3-ubyte'}: cannot be read (Permission denied); "
        f"permit it, or set {data.VARIABLE} to another folder\n"
    )


def test_fetch_that_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ())
    assert main(["fetch"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert error.strip().startswith("error: MNIST could not be downloaded")


# --- as a command ----------------------------------------------------------------------------------------


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "data", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_as_a_command(folder: Path) -> None:
    shown = run("show", **{data.VARIABLE: str(folder), "PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "@" * 28 in shown.stdout


def test_an_error_is_one_line(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(b"GIF89a")
    failed = run("info", **{data.VARIABLE: str(folder)})
    assert failed.returncode == 2
    assert failed.stdout == ""
    assert failed.stderr.startswith(f"error: {folder / 'train-images-idx3-ubyte'}: not an IDX file: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000], ids=["long name", "long path"])
def test_a_path_that_is_too_long(name: str) -> None:
    for failed in (run("info", **{data.VARIABLE: name}), run("show", "--data", name)):
        assert failed.returncode == 2
        assert failed.stdout == ""
        assert failed.stderr.startswith(f"error: {name.rstrip('/')}: cannot be read (File name too long); ")
        assert failed.stderr.count("\n") == 1


def test_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(source: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "load", interrupted)
    assert main(["info"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_reader_that_stops_early(folder: Path) -> None:
    command = [sys.executable, "-m", "data", "show", "--data", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "mentioned", "of"),
    [
        ([], "command", ""),
        (["fech"], "'fech'", ""),
        (["info", "--colour"], "--colour", ""),
        (["show", "--split", "validation"], "'validation'", " show"),
    ],
)
def test_wrong_options(arguments: list[str], mentioned: str, of: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert mentioned in line
    assert line.endswith(f"; see `python -m data{of} --help`\n")
    assert line.count("\n") == 1


def test_a_picture_whatever_the_settings_of_matplotlib(folder: Path, tmp_path: Path) -> None:
    """A user's own may ask for LaTeX, or for a window or a notebook that is not there."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.dpi: 7\n")
    variables = os.environ | {"MPLCONFIGDIR": str(tmp_path), "MPLBACKEND": "no-such-backend"}
    options = ["--data", str(folder), "--png", str(tmp_path / "digits.png")]
    command = [sys.executable, "-m", "data", "show", *options]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
