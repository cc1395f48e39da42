"""One entry to all data: `load_dataset(name)`."""

import os
from pathlib import Path

from helpers.data import image_folder, medmnist_npz
from helpers.data.phantom import make_phantom
from helpers.data.splits import DataError, DatasetUnavailable, Splits
from helpers.paths import data_root


def load_dataset(name: str, *, image_size: int | None = None) -> Splits:
    """Load a data set by name.

    MedMNIST files are searched in `REPRO_DATA/medmnist`, the local cache and `~/.medmnist`, then
    downloaded from their official address; image folders lie in `REPRO_DATA/cag`.

    Args:
        name: a 2-D MedMNIST flag with or without a size ("breastmnist", "breastmnist_64"),
            "cag:<folder>", "cag:<folder>/<named split>", or "phantom".
        image_size: for MedMNIST 28, 64, 128 or 224 (default 28, or the one in the name); for the
            phantom at least 64 (default 64); an image folder has its own.

    Returns:
        The checked splits.

    Raises:
        DatasetUnavailable: a known set that cannot be had; says where to put it.
        DataError: an unknown name or size (with the known ones), or wrong data.
    """
    medmnist_set = medmnist_npz.parse_name(name, image_size=image_size)
    if medmnist_set:
        return medmnist_npz.load_medmnist(*medmnist_set)
    if name.startswith("cag:"):
        splits = image_folder.load_image_folder(_cag_root(name), name)
        if image_size not in (None, splits.image_size):
            raise DataError(
                f"{name} has images of {splits.image_size} pixels, not {image_size}; leave "
                "image_size out (batches are resized by helpers.data.transforms)."
            )
        return splits
    if name == "phantom":
        return make_phantom(image_size=64 if image_size is None else image_size)
    raise _unknown(name)


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows, with the image folders that are there.

    MedMNIST names also take `_64`, `_128` or `_224`.
    """
    root = data_root()
    folders = image_folder.list_image_folders(root / "cag") if root else []
    return [*medmnist_npz.list_flags(), *folders, "phantom"]


def stand_in(name: str) -> str:
    """Return the name to load: `name`, or "phantom" where that is allowed and needed.

    Only with `REPRO_STAND_IN=phantom` in the environment, and only if `name` is a known set that
    cannot be had; a line says so. A wrong name or wrong data stays an error.

    Args:
        name: as for `load_dataset`.

    Raises:
        DataError: an unknown name, or another value of `REPRO_STAND_IN`.
    """
    allowed = os.environ.get("REPRO_STAND_IN", "")
    if allowed not in ("", "phantom"):
        raise DataError(f"REPRO_STAND_IN is {allowed!r}; expected phantom, or unset it.")
    if not allowed or name == "phantom":
        return name
    try:
        if medmnist_set := medmnist_npz.parse_name(name):
            medmnist_npz.find_npz(*medmnist_set)
        elif name.startswith("cag:"):
            image_folder.find_folder(_cag_root(name), name)
        else:
            raise _unknown(name)
    except DatasetUnavailable:
        print(f"PHANTOM: {name} cannot be had here, synthetic images stand in for it.")
        return "phantom"
    return name


def _unknown(name: str) -> DataError:
    return DataError(
        f"unknown data set {name!r}; known: {', '.join(list_datasets())}. MedMNIST sets also "
        f"with a size: {', '.join(f'_{size}' for size in medmnist_npz.SIZES)}."
    )


def _cag_root(name: str) -> Path:
    root = data_root()
    if root is None:
        raise DatasetUnavailable(
            f"{name}: image folders lie in cag/ of the folder that REPRO_DATA names; set it."
        )
    return root / "cag"
