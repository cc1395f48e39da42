"""MedMNIST files: found or downloaded, checked against the official MD5, read without pickle.

Format (Yang et al., Scientific Data 10:41, 2023): six arrays, `{train,val,test}_images` uint8
(N, S, S) or (N, S, S, 3) and `{train,val,test}_labels` (N, 1). Sizes, MD5s, addresses and class
names come from `medmnist.INFO`, never from here.
"""

import hashlib
import re
import socket
import tempfile
import zipfile
from http.client import HTTPException
from pathlib import Path

import medmnist
import numpy as np
from medmnist.info import DEFAULT_ROOT
from torchvision.datasets.utils import download_url

from helpers.data.splits import SPLIT_NAMES, DataError, DatasetUnavailable, Split, Splits
from helpers.paths import cache_dir, data_root

SIZES = (28, 64, 128, 224)
_CONNECTION_TIMEOUT_S = 15.0


def list_flags() -> list[str]:
    """Return the flags of all sets that can be loaded: 2-D, one label an image."""
    return [flag for flag in medmnist.INFO if _refusal(flag) is None]


def parse_name(name: str, *, image_size: int | None = None) -> tuple[str, int] | None:
    """Split `breastmnist_64` into its flag and its image size.

    Args:
        name: a flag of `medmnist.INFO`, with or without a size (`_64`); 28 is the default.
        image_size: 28, 64, 128 or 224; None takes it from the name.

    Returns:
        (flag, image size), or None if this is not the name of a MedMNIST set.

    Raises:
        DataError: a multi-label or 3-D set, an unknown size, or two sizes that differ.
    """
    match = re.fullmatch(r"([a-z]+mnist(?:3d)?)(?:_(\d+))?", name)
    if match is None or match[1] not in medmnist.INFO:
        return None
    flag, suffix = match[1], None if match[2] is None else int(match[2])
    refusal = _refusal(flag)
    if refusal:
        raise DataError(f"{flag} is {refusal}. Known MedMNIST sets: {', '.join(list_flags())}.")
    if suffix is not None and image_size is not None and suffix != image_size:
        raise DataError(
            f"{name!r} says {suffix} pixels but image_size says {image_size}; give one."
        )
    size = next((given for given in (suffix, image_size) if given is not None), SIZES[0])
    if size not in SIZES:
        raise DataError(
            f"{flag} does not exist at {size} pixels; known sizes: {', '.join(map(str, SIZES))}."
        )
    return flag, size


def _refusal(flag: str) -> str | None:
    if flag.endswith("3d"):
        return "a 3-D set; only 2-D sets are supported"
    if medmnist.INFO[flag]["task"].startswith("multi-label"):
        return "a multi-label set; only sets with one label an image are supported"
    return None


def npz_name(flag: str, image_size: int) -> str:
    """Return the official file name, e.g. `breastmnist_64.npz`; 28 pixels has no suffix."""
    return f"{flag}{_suffix(image_size)}.npz"


def official_md5(flag: str, image_size: int) -> str:
    """Return the official MD5 of the file from `medmnist.INFO`."""
    return medmnist.INFO[flag][f"MD5{_suffix(image_size)}"]


def _suffix(image_size: int) -> str:
    return "" if image_size == 28 else f"_{image_size}"


def find_npz(flag: str, image_size: int) -> Path:
    """Return the path of the file, downloading it if no folder has it.

    Searched in this order: `REPRO_DATA/medmnist`, the local cache, `~/.medmnist`.

    Raises:
        DatasetUnavailable: no folder has it and the official download failed.
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
    return _download(flag, image_size)


def _download(flag: str, image_size: int) -> Path:
    name, md5 = npz_name(flag, image_size), official_md5(flag, image_size)
    url = medmnist.INFO[flag][f"url{_suffix(image_size)}"]
    target = cache_dir() / "medmnist"
    target.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    # Into a temporary folder first: a half download never sits under the final name.
    with tempfile.TemporaryDirectory(dir=target, prefix=".download-") as temporary:
        try:
            socket.setdefaulttimeout(_CONNECTION_TIMEOUT_S)
            download_url(url, root=temporary, filename=name, md5=md5)
        except (OSError, RuntimeError, HTTPException) as error:
            raise DatasetUnavailable(
                f"{name} (official MD5 {md5}) is not on this machine and its download failed "
                f"({error}). Fetch {url} elsewhere and put it into the folder medmnist/ under "
                f"REPRO_DATA, or into {target}."
            ) from error
        finally:
            socket.setdefaulttimeout(before)
        return (Path(temporary) / name).replace(target / name)


def load_medmnist(flag: str, image_size: int) -> Splits:
    """Load one MedMNIST set.

    Args:
        flag: e.g. "breastmnist".
        image_size: 28, 64, 128 or 224 pixels.

    Returns:
        The official splits. Ordinal labels (RetinaMNIST) are treated as plain classes.

    Raises:
        DatasetUnavailable: the file cannot be had.
        DataError: the file is not the official one or not of the format.
    """
    path = find_npz(flag, image_size)
    md5 = official_md5(flag, image_size)
    check_md5(path, md5)
    info = medmnist.INFO[flag]
    splits = read_npz(path, image_size=image_size, in_channels=info["n_channels"])
    return Splits(
        name=path.stem,
        **splits,
        class_names=tuple(info["label"][str(k)] for k in range(len(info["label"]))),
        source=path.name,
        md5=md5,
        licence=info["license"],
    )


def check_md5(path: Path, expected: str) -> None:
    """Raise DataError unless the file has this MD5; the file is left as it is."""
    with open(path, "rb") as file:
        came = hashlib.file_digest(file, "md5").hexdigest()
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


def read_npz(path: Path, *, image_size: int, in_channels: int) -> dict[str, Split]:
    """Read a file of MedMNIST's format.

    Args:
        path: the npz file.
        image_size: expected height and width in pixels.
        in_channels: expected channels, 1 or 3.

    Returns:
        "train", "val", "test" -> Split.

    Raises:
        DataError: truncated, pickled, a missing key, a wrong dtype or shape.
    """
    keys = [f"{split}_{part}" for split in SPLIT_NAMES for part in ("images", "labels")]
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file.files]
            if missing:
                raise DataError(
                    f"{path.name} lacks {', '.join(missing)}; it has {', '.join(file.files)}."
                )
            arrays = {key: _read_array(file, key, path.name) for key in keys}
    except DataError:
        raise
    except (OSError, EOFError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path.name} is truncated or no npz file ({error}); replace it by a whole one."
        ) from error
    return {
        split: _as_split(
            f"{path.name}, {split}",
            arrays[f"{split}_images"],
            arrays[f"{split}_labels"],
            image_size,
            in_channels,
        )
        for split in SPLIT_NAMES
    }


def _read_array(file: np.lib.npyio.NpzFile, key: str, name: str) -> np.ndarray:
    try:
        return file[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{name}: {key} is a pickled object array, which is never loaded (it could run code); "
            "expected plain numbers."
        ) from error


def _as_split(
    what: str, images: np.ndarray, labels: np.ndarray, image_size: int, in_channels: int
) -> Split:
    frame = (image_size, image_size) + ((in_channels,) if in_channels > 1 else ())
    if images.dtype != np.uint8 or images.shape[1:] != frame:
        raise DataError(
            f"{what}: images are {images.dtype} {images.shape}; expected uint8 {('N', *frame)}."
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images), 1):
        raise DataError(
            f"{what}: labels are {labels.dtype} {labels.shape}; expected integers "
            f"({len(images)}, 1), one label an image."
        )
    if in_channels == 1:
        images = images[..., None]
    return Split(images=images, labels=labels[:, 0].astype(np.int64))
