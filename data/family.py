"""MNIST's family: the sets of its form, how many images and classes they have, and how they are recognised.

A set is recognised by the SHA-256 of its two files of images, as they are published. Files that were unpacked or packed
anew have other checksums, so for them only the sets with as many images and classes are named. EMNIST stores its
pictures transposed (G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: extending MNIST to handwritten letters",
IJCNN 2017): rows and columns are exchanged, compared with MNIST.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Member(NamedTuple):
    """A published set."""

    name: str
    train: int
    """Training images."""
    test: int
    classes: int
    transposed: bool = False
    """Whether its pictures are stored with rows and columns exchanged."""
    published: tuple[str, str] = ("", "")
    """SHA-256 of the files of training and test images as they are published; "" where it is not known here."""


MEMBERS = (
    Member("MNIST", 60_000, 10_000, 10),
    Member(
        "Fashion-MNIST", 60_000, 10_000, 10,
        published=("08dc20ab1689590a0bcd66e874647b6ee8464e2d501b5a3f1f78831db19a3fdc",
                   "78dcbbfb5a27efaf1b6c1d616caca68560be8766c5bffcb2791df9273a534229"),
    ),
    Member(
        "KMNIST", 60_000, 10_000, 10,
        published=("11d69e17c8fd294905864aef177fd10c2185e5a3655f4da03d72ea5a64c17a72",
                   "692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87"),
    ),
    Member("Kuzushiji-49", 232_365, 38_547, 49),
    Member("Kannada-MNIST", 60_000, 10_000, 10),
    Member(
        "QMNIST", 60_000, 60_000, 10,
        published=("9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d",
                   "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375"),
    ),
    Member(
        "EMNIST MNIST", 60_000, 10_000, 10, True,
        ("5f9942f441031c0f1f2e4d162059fd6e19ea808b34c328b6d16cab0ed24c78f2",
         "b25640fa9e356c618132f5df347c95ef5bae6d9c2596be1de40f7e0ae1c3eac6"),
    ),
    Member(
        "EMNIST Digits", 240_000, 40_000, 10, True,
        ("f7c95004d14d81af89522e67d8f0c781dfb3bd544181c81bfe1eb6b41c35b726",
         "20ebe43509264f7639d37c835a3f0b009e90b29e00a099a03101abe1644a3f63"),
    ),
    Member(
        "EMNIST Letters", 124_800, 20_800, 26, True,
        ("6288f418a917e007bf5fddb823a2dc7a5c6a35031401b93292a539cb12bd881f",
         "50f0e93d75b99b463e9760b8345866f22587fa2c2fba472730a5ba09c693412d"),
    ),
    Member(
        "EMNIST Balanced", 112_800, 18_800, 47, True,
        ("74295e75e4e9fa2c102147460ee7eb763653d5132d883a84fb88932bfb8d2db4",
         "117fc12b015e37ea98bfb2cbba3f77c3782c056cdbd219b87abfc8661d7135db"),
    ),
    Member(
        "EMNIST ByMerge", 697_932, 116_323, 47, True,
        ("39bf8c68037dad40db35348895f7e4e056e8c0a005ab78869c9fbc2c96e947be",
         "5e5815ec1b522089134435f7c55e75a00960b58414793593ffff23efc0821683"),
    ),
    Member(
        "EMNIST ByClass", 697_932, 116_323, 62, True,
        ("9e21987f03a6eb8b870187e785883ddad96947299587908f1a7ec2ca0f4be5f0",
         "5ec835bd5d5b1a66378a132e727fef20fe994b3cc666899befcca5ac766f50cd"),
    ),
)  # fmt: skip


def of_checksums(files: Sequence[str]) -> Member | None:
    """Return the set whose files of training and test images, as stored, have these SHA-256; None for others."""
    known = (member for member in MEMBERS if all(member.published))
    return next((member for member in known if member.published == tuple(files)), None)


def of_size(train: int, test: int, classes: int) -> tuple[Member, ...]:
    """Return the sets of so many training images, test images and classes."""
    return tuple(member for member in MEMBERS if member[1:4] == (train, test, classes))


def named(members: Iterable[Member]) -> str:
    """Return the names of sets in words: "KMNIST, QMNIST or MNIST"."""
    *others, last = [member.name for member in members]
    return f"{', '.join(others)} or {last}" if others else last
