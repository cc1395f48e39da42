"""What every data set becomes: train, validation and test images with labels, checked once."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from helpers.config import OWN_PREFIXES

SPLIT_NAMES = ("train", "val", "test")
_MISSING = ("nan", "<na>", "nat")  # as pandas writes a value that is missing
_JOINERS = {0x200C: None, 0x200D: None}  # of letters and emoji, which do not print themselves


class DataError(ValueError):
    """The data, or the name of the data, is not what it should be."""


class DatasetUnavailable(DataError):
    """A known data set is neither on this machine nor to be downloaded from here."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split, in memory.

    Args:
        images: uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB).
        labels: int64 (N,), class indices from 0.
        groups: str (N,), what must stay together (patient, cluster of frames), or None.
        boxes: float32 (N, 4), lesion box as x, y, width, height in pixels, a row of NaN where
            an image has none; or None if the data set has no boxes.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Split":
        """Return the images of the given indices with all that belongs to them."""
        return Split(
            images=self.images[rows],
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
        )

    def digests(self) -> list[str]:
        """Return a digest of each image; equal images have equal ones."""
        return [hashlib.blake2b(one.tobytes(), digest_size=16).hexdigest() for one in self.images]


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set: three splits and what is known about it.

    Every class needs a training image. A class may be missing from validation or test: its
    metrics there are undefined, and small folders do have rare classes.

    Args:
        name: the name it was loaded by.
        train: training split.
        val: validation split; selection reads this one.
        test: test split; read once, after selection.
        class_names: one name per class, in the order of the labels.
        source: file or folder name, without the machine's path.
        md5: of the file, or of all files and labels of a folder; None if generated.
        licence: as its publisher states it, or None if not known.
        groups_may_cross: a group in two splits is noted instead of refused; for published splits,
            which are what they are.
        reading: how the files of an image folder were read, as a record keeps it
            (`helpers.data.pictures.Reading`); None of other sets.
        file_notes: what a reader should know of single files.

    Raises:
        DataError: on construction, naming the split and what is wrong with it.
    """

    name: str
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    source: str
    md5: str | None = None
    licence: str | None = None
    groups_may_cross: bool = False
    reading: Mapping[str, Any] | None = None
    file_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.class_names) < 2:
            raise DataError(
                f"{self.name}: {len(self.class_names)} class ({', '.join(self.class_names)}); "
                "classification needs at least two."
            )
        self._check_class_names()
        for split_name, split in self.items():
            _check_split(f"{self.name}, {split_name}", split, self.num_classes)
        self._check_alike()
        if absent := self._absent(self.train):
            raise DataError(
                f"{self.name}: no training image of class {', '.join(absent)}; "
                "move some into the training split or leave the class out."
            )
        crossing = {} if self.groups_may_cross else self.crossing_groups()
        if crossing:
            group, where = next(iter(crossing.items()))
            raise DataError(
                f"{self.name}: {len(crossing)} group(s) cross splits, the first is {group!r} in "
                f"{' and '.join(where)}; a group (patient) must lie in one split only."
            )

    def _check_class_names(self) -> None:
        """Refuse names that a reader or a table would take for another one, or for none."""
        if len(set(self.class_names)) != len(self.class_names):
            raise DataError(f"{self.name}: class names repeat: {list(self.class_names)}.")
        known: dict[str, str] = {}
        for name in self.class_names:
            prints = is_plain(name.replace("\n", "-")) and name == name.strip()  # lines may be two
            if not name or not prints or name.casefold() in _MISSING:
                raise DataError(
                    f"{self.name}: a class is called {name!r}; expected text that prints, without "
                    "spaces at its ends, and no word for a missing value: rename it."
                )
            # Accents may be characters of their own; the eye sees no difference.
            other = known.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                raise DataError(
                    f"{self.name}: the classes {other!r} and {name!r} differ in nothing but case "
                    "or coding; spell them alike if they are one, else rename one."
                )

    def _check_alike(self) -> None:
        shapes = {k: v.images.shape[1:] for k, v in self.items()}
        if len(set(shapes.values())) != 1:
            raise DataError(f"{self.name}: the splits differ in image shape: {shapes}.")
        for field in ("groups", "boxes"):
            having = [k for k, v in self.items() if getattr(v, field) is not None]
            if having and len(having) != len(SPLIT_NAMES):
                raise DataError(f"{self.name}: {field} in {having} only; all splits or none.")

    def crossing_groups(self) -> dict[str, tuple[str, ...]]:
        """Return group -> the splits that hold it, for groups in two splits or more."""
        where: dict[str, list[str]] = {}
        for name, split in self.items():
            for group in np.unique(split.groups).tolist() if split.groups is not None else ():
                where.setdefault(group, []).append(name)
        return {group: tuple(names) for group, names in where.items() if len(names) > 1}

    def items(self) -> tuple[tuple[str, Split], ...]:
        """Return (name, split) of train, val and test, in this order."""
        return tuple((name, getattr(self, name)) for name in SPLIT_NAMES)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.train.images.shape[3]

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self.train.images.shape[1]

    def in_earlier_group(self, split: str) -> np.ndarray:
        """Return the indices of a split's images whose group an earlier split holds too.

        Earlier means train for "val", and train or val for "test"; without groups there are none.
        """
        earlier = [getattr(self, name).groups for name in SPLIT_NAMES[: SPLIT_NAMES.index(split)]]
        groups = getattr(self, split).groups
        if groups is None or not earlier:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(np.isin(groups, np.concatenate(earlier)))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What these splits or files of theirs cannot give, and what ties them, in sentences."""
        return (*self._undefined(), *self._ties(), *self.file_notes)

    def _absent(self, split: Split) -> list[str]:
        """Return the names, in quotes, of the classes that have no image in a split."""
        counts = np.bincount(split.labels, minlength=self.num_classes)
        return [repr(name) for name, n in zip(self.class_names, counts, strict=True) if n == 0]

    def _undefined(self) -> Iterator[str]:
        for name, split in self.items():
            absent = self._absent(split)
            if len(absent) == self.num_classes - 1:
                rest = "; epochs are selected by its loss" if name == "val" else ""
                yield f"{name} holds one class only, so its AUC is undefined{rest}."
            elif absent:
                yield (
                    f"{name} holds no image of {', '.join(absent)}, whose AUC there is undefined "
                    "and left out of the mean."
                )

    def _ties(self) -> Iterator[str]:
        # Of official sets the copies are known, and looking for them may take seconds.
        own = self.name.startswith(OWN_PREFIXES)
        seen = set(self.train.digests()) if own else set()
        for place, name in enumerate(SPLIT_NAMES[1:], start=1):
            split, earlier = getattr(self, name), " or ".join(SPLIT_NAMES[:place])
            images = f"{len(split)} {name} images"
            if len(shared := self.in_earlier_group(name)):
                yield (
                    f"{len(shared)} of {images} are of a group (patient, lesion) that is also in "
                    f"{earlier}."
                )
            digests = split.digests() if own else []
            if copies := sum(digest in seen for digest in digests):
                yield f"{copies} of {images} are exact copies of images in {earlier}."
            seen.update(digests)

    @property
    def is_phantom(self) -> bool:
        """Whether the images are synthetic; such results are no results on patients."""
        return self.name == "phantom"


def largest_against_rest(splits: Splits) -> Splits:
    """Return a set as one of two classes: the largest training class (1) against all others."""
    counts = np.bincount(splits.train.labels, minlength=splits.num_classes)
    largest = int(counts.argmax())
    binary = {
        name: replace(split, labels=(split.labels == largest).astype(np.int64))
        for name, split in splits.items()
    }
    name = splits.class_names[largest]
    rest = "all others" if name.casefold() != "all others" else "the rest"
    return replace(splits, **binary, class_names=(rest, name))


def is_plain(name: str) -> bool:
    """Say whether a name can stand on a line: all of it prints, and no space is at its ends."""
    return name == name.strip() and name.translate(_JOINERS).isprintable()


def check_array(what: str, array: np.ndarray, good: bool, expected: str) -> None:
    """Raise a `DataError` that shows the dtype and shape of an array, unless they are good."""
    if not good:
        raise DataError(f"{what} are {array.dtype} {array.shape}; expected {expected}.")


def _check_split(what: str, split: Split, num_classes: int) -> None:
    images, labels, groups = split.images, split.labels, split.groups
    good = images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] in (1, 3)
    check_array(f"{what}: images", images, good, "uint8 (N, H, W, C) with C = 1 or 3")
    n = len(images)
    if n == 0:
        raise DataError(f"{what}: no images.")
    if images.shape[1] != images.shape[2]:
        raise DataError(
            f"{what}: images of {images.shape[2]} x {images.shape[1]} pixels (width x height); "
            "expected square ones: crop or pad them first."
        )
    good = labels.dtype == np.int64 and labels.shape == (n,)
    check_array(f"{what}: labels", labels, good, f"int64 ({n},)")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise DataError(
            f"{what}: label {labels[wrong[0]]} of image {wrong[0]} is out of range; expected 0 to "
            f"{num_classes - 1} ({len(wrong)} such labels)."
        )
    if groups is not None:
        good = groups.dtype.kind == "U" and groups.shape == (n,)
        check_array(f"{what}: groups", groups, good, f"str ({n},)")
    if split.boxes is not None:
        _check_boxes(what, split.boxes, n, images.shape[1])


def _check_boxes(what: str, boxes: np.ndarray, n: int, size: int) -> None:
    good = boxes.dtype == np.float32 and boxes.shape == (n, 4)
    check_array(f"{what}: boxes", boxes, good, f"float32 ({n}, 4)")
    missing = np.isnan(boxes)
    x, y, width, height = boxes.T
    inside = (x >= 0) & (y >= 0) & (x + width <= size) & (y + height <= size)
    good = np.where(missing.any(1), missing.all(1), inside & (width > 0) & (height > 0))
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{what}: box {boxes[first].tolist()} of image {first}; expected x, y, width, height "
            f"inside the image of {size} pixels with a positive area, or four NaN."
        )
