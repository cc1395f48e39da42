"""MedMNIST files, official ones and one's own in the same format, read without pickle.

Official files are found or fetched (`helpers.data.fetch`) and checked against the official MD5.

Format (Yang et al., Scientific Data 10:41, 2023): six arrays, `{train,val,test}_images` uint8
(N, S, S) or (N, S, S, 3) and `{train,val,test}_labels` (N, 1). Sizes, MD5s, addresses and class
names come from `medmnist.INFO`, never from here.
"""

import hashlib
import zipfile
from pathlib import Path

import medmnist
import numpy as np
from medmnist.info import DEFAULT_ROOT

from helpers.data import fetch
from helpers.data.names import SIZES
from helpers.data.rebuilt import find_rebuilt
from helpers.data.splits import (
    SPLIT_NAMES,
    DataError,
    DatasetUnavailable,
    Split,
    Splits,
    check_array,
)
from helpers.files import DamagedFile, open_arrays
from helpers.paths import cache_dir, data_root


def npz_name(flag: str, image_size: int) -> str:
    """Return the official file name, e.g. `breastmnist_64.npz`; 28 pixels has no suffix."""
    return f"{flag}{_suffix(image_size)}.npz"


def official_md5(flag: str, image_size: int) -> str:
    """Return the official MD5 of the file from `medmnist.INFO`."""
    return medmnist.INFO[flag][f"MD5{_suffix(image_size)}"]


def _suffix(image_size: int) -> str:
    return "" if image_size == 28 else f"_{image_size}"


def find_npz(flag: str, image_size: int) -> Path:
    """Return the path of the file, fetching it if no folder has it.

    Searched in this order: `REPRO_DATA/medmnist`, the local cache, `~/.medmnist`; then the sources
    of `helpers.data.fetch`.

    Raises:
        DatasetUnavailable: no folder has it and no source gives it.
    """
    name = npz_name(flag, image_size)
    root = data_root()
    folders = [root / "medmnist"] if root else []
    folders.append(cache_dir() / "medmnist")
    if DEFAULT_ROOT:
        folders.append(Path(DEFAULT_ROOT))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    url = medmnist.INFO[flag][f"url{_suffix(image_size)}"]
    md5 = official_md5(flag, image_size)
    return fetch.fetch(name, url=url, md5=md5, folder=cache_dir() / "medmnist")


def load_medmnist(flag: str, image_size: int) -> Splits:
    """Load the official splits of one MedMNIST set; ordinal labels are treated as plain classes.

    Raises:
        DatasetUnavailable: the file cannot be had.
        DataError: the file is not the official one or not of the format.
    """
    path = find_npz(flag, image_size)
    md5 = official_md5(flag, image_size)
    check_md5(path, md5)
    splits, _ = read_npz(path)
    return Splits(
        name=path.stem,
        **splits,
        class_names=_official_classes(flag),
        source=path.name,
        md5=md5,
        licence=medmnist.INFO[flag]["license"],
    )


def _official_classes(flag: str) -> tuple[str, ...]:
    names = medmnist.INFO[flag]["label"]
    return tuple(names[str(k)] for k in range(len(names)))


def file_md5(path: Path) -> str:
    """Return the MD5 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def check_md5(path: Path, expected: str) -> None:
    """Raise DataError unless the file has this MD5; the file is left as it is."""
    came = file_md5(path)
    if came == expected:
        return
    # A zip file has its directory at the end, so a cut file is told from an altered one.
    reason = (
        "is another version or was altered"
        if zipfile.is_zipfile(path)
        else "is truncated or no npz file at all"
    )
    raise DataError(
        f"{path.name} {reason}: it has MD5 {came}, the official one is {expected}. Nothing was "
        f"deleted; replace {path} by the official file."
    )


def read_npz(path: Path) -> tuple[dict[str, Split], tuple[str, ...] | None]:
    """Read a file of MedMNIST's format.

    Beside the six arrays it may have `{train,val,test}_groups`, str or integers (N,), and
    `class_names`, str (K,); anything else is left alone. All images have the shape of the training
    images, S at least 28 pixels.

    Returns:
        Split name -> split, and the names of the classes, None if the file has none.

    Raises:
        DataError: truncated, pickled, a missing key, a wrong dtype or shape.
    """
    keys = [f"{split}_{part}" for split in SPLIT_NAMES for part in ("images", "labels")]
    groups = [f"{split}_groups" for split in SPLIT_NAMES]
    try:
        with open_arrays(path) as file:
            if any(key in file.names for key in groups):
                keys += groups
            missing = [key for key in keys if key not in file.names]
            if missing:
                raise DamagedFile(
                    f"{path.name} lacks {', '.join(missing)}; it has {', '.join(file.names)}"
                )
            keys += ["class_names"] if "class_names" in file.names else []
            arrays = {key: file.read(key) for key in keys}
    except DamagedFile as error:
        raise DataError(
            f"{path.name} is truncated or no npz file of the expected form ({error}); replace it "
            "by a whole one."
        ) from error
    except MemoryError as error:
        raise DataError(f"{path.name} does not fit into memory ({error}).") from error
    frame = _frame(path.name, arrays["train_images"])
    splits = {}
    for split in SPLIT_NAMES:
        parts = (arrays.get(f"{split}_{part}") for part in ("images", "labels", "groups"))
        splits[split] = _as_split(f"{path.name}, {split}", *parts, frame=frame)
    return splits, _class_names(path.name, arrays.get("class_names"))


def _frame(name: str, images: np.ndarray) -> tuple[int, ...]:
    frame = images.shape[1:]
    square = len(frame) >= 2 and frame[0] == frame[1] >= SIZES[0]
    good = images.dtype == np.uint8 and square and frame[2:] in ((), (1,), (3,))
    expected = f"uint8 (N, S, S) or (N, S, S, 3), S at least {SIZES[0]} pixels"
    check_array(f"{name}, train: images", images, good, expected)
    return frame


def _as_split(
    what: str,
    images: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None,
    *,
    frame: tuple[int, ...],
) -> Split:
    good = images.dtype == np.uint8 and images.shape[1:] == frame
    check_array(f"{what}: images", images, good, f"uint8 {('N', *frame)}")
    n = len(images)
    good = labels.dtype.kind in "iu" and labels.shape == (n, 1)
    check_array(f"{what}: labels", labels, good, f"integers ({n}, 1), one label an image")
    if groups is not None:
        groups = _as_groups(what, groups, n)
    if len(frame) == 2:
        images = images[..., None]
    return Split(images=images, labels=labels[:, 0].astype(np.int64), groups=groups)


def _as_groups(what: str, groups: np.ndarray, n: int) -> np.ndarray:
    good = groups.dtype.kind in "Uiu" and groups.shape == (n,)
    check_array(f"{what}: groups", groups, good, f"text or integers ({n},), one group an image")
    groups = groups.astype(str)
    without = np.flatnonzero(np.char.strip(groups) == "")
    if len(without):
        raise DataError(f"{what}: image {without[0]} has no group ({len(without)} such images).")
    return groups


def _class_names(name: str, names: np.ndarray | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    good = names.dtype.kind == "U" and names.ndim == 1 and all(n.strip() for n in names.tolist())
    check_array(f"{name}: class_names", names, good, "one text, not empty, for each class")
    return tuple(names.tolist())


def list_npz(folder: Path) -> list[str]:
    """Return the names `npz:<file>` of the files in a folder `npz/`."""
    return [f"npz:{path.stem}" for path in sorted(folder.glob("*.npz")) if path.name[0] != "."]


def find_own_npz(folder: Path, name: str) -> Path:
    """Return the file of a name `npz:<file>`.

    Raises:
        DatasetUnavailable: there is no such file.
        DataError: the name is not of the form.
    """
    stem = name.removeprefix("npz:")
    # One plain component: a name never leads out of `npz/`.
    if not stem or stem.startswith(".") or "/" in stem or "\\" in stem:
        raise DataError(f"{name!r} is not of the form npz:<file>, without its ending .npz.")
    path = folder / f"{stem}.npz"
    if not path.is_file():
        known = ", ".join(list_npz(folder)) or "none"
        raise DatasetUnavailable(f"no file {path.name}: put it at {path}. Known here: {known}.")
    return path


def load_own_npz(folder: Path, name: str) -> Splits:
    """Load `npz:<file>` of a folder: image size, channels and classes are the file's own.

    Groups may cross its splits (see `Splits.notes`). Classes are named by the file; those of a
    rebuilt official set (`helpers.data.rebuilt`) as the official ones; else "class 0" and so on.

    Raises:
        DatasetUnavailable: there is no such file.
        DataError: the file is not of the format.
    """
    path = find_own_npz(folder, name)
    md5 = file_md5(path)
    splits, class_names = read_npz(path)
    rebuilt = find_rebuilt(name, md5)
    if class_names is None and rebuilt:
        class_names = _official_classes(rebuilt.official)
    elif class_names is None:
        labels = np.concatenate([split.labels for split in splits.values()])
        class_names = tuple(f"class {k}" for k in range(len(np.unique(labels))))
    return Splits(
        name=name,
        **splits,
        class_names=class_names,
        source=path.name,
        md5=md5,
        licence=medmnist.INFO[rebuilt.official]["license"] if rebuilt else None,
        groups_may_cross=True,
    )
