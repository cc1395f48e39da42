"""Image folders under `REPRO_DATA/cag/`: images in class folders or with a labels.csv.

PNG, JPEG, TIFF and other pictures (`helpers.data.pictures`), and DICOM with one frame or many:
every frame is an image (`helpers.data.dicom`).

Three layouts:

- `<class>/*.png`: no split is given, so one is made (see `assign_splits`).
- `{train,val,test}/<class>/*.png`: the folders are the splits.
- a `labels.csv`, see `helpers.data.labels_csv`.

Groups are never split. Those of DICOM files are pseudonyms of the patients in the headers (else of
the study, else of the series, else of the file), unless labels.csv has its own. Pixels become uint8
as `helpers.data.image_files` says.
"""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.data.image_files import ImageFiles, is_image, read_images
from helpers.data.labels_csv import LABELS, Index, named_splits, read_labels
from helpers.data.splits import SPLIT_NAMES, DataError, DatasetUnavailable, Split, Splits

SPLIT_SEED = 0
SPLIT_SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}


def list_image_folders(root: Path) -> list[str]:
    """Return the names under a folder `cag/`, with `/<name>` for each named split."""
    names = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ():
        if folder.name.startswith("."):
            continue
        names.append(f"cag:{folder.name}")
        # A damaged table, or one that may not be read, is said where its own set is asked for.
        with suppress(DataError, OSError):
            if (folder / LABELS).is_file():
                names += [f"cag:{folder.name}/{split}" for split in named_splits(folder)]
    return names


def load_image_folder(root: Path, name: str) -> Splits:
    """Load `cag:<folder>` or `cag:<folder>/<named split>`, an image folder that lies in `root`.

    Returns:
        Images as uint8, grey or RGB; `md5` is a digest of the files read and of labels.csv.

    Raises:
        DatasetUnavailable: there is no such folder.
        DataError: whatever is wrong in it, naming the file.
    """
    folder, chosen = find_folder(root, name)
    try:
        index = _make_index(folder, chosen)
        read = read_images(folder, index.files, index.frames)
        if (folder / LABELS).is_file():
            read.digest.update((folder / LABELS).read_bytes())
    except OSError as error:  # no permission, or a disk that fails
        path = os.fsdecode(error.filename or folder)
        raise DataError(f"{folder.name}: cannot read {path}: {error.strerror}.") from error
    images = Split(
        images=read.images,
        labels=index.labels[read.rows],
        groups=read.groups if index.groups is None else index.groups[read.rows],
        boxes=None if index.boxes is None else _boxes_of_images(folder.name, index, read),
    )
    if index.splits is None:
        assigned = _make_splits(folder.name, images)
    else:
        assigned = index.splits[read.rows]
    return Splits(
        name=name,
        **{split: images.take(np.flatnonzero(assigned == split)) for split in SPLIT_NAMES},
        class_names=index.class_names,
        source=name.removeprefix("cag:"),
        md5=read.digest.hexdigest(),
        reading=read.reading.to_dict(),
        file_notes=read.notes,
    )


def find_folder(root: Path, name: str) -> tuple[Path, str | None]:
    """Return the folder and the named split (None if none is named) of a `cag:` name.

    Raises:
        DatasetUnavailable: there is no such folder.
        DataError: the name is not of the form.
    """
    folder_name, slash, chosen = name.removeprefix("cag:").partition("/")
    # One plain component each: a name never leads out of `cag/`.
    if not folder_name or folder_name.startswith(".") or "\\" in name or "/" in chosen:
        raise DataError(f"{name!r} is not of the form cag:<folder> or cag:<folder>/<split>.")
    folder = root / folder_name
    if not folder.is_dir():
        known = ", ".join(list_image_folders(root)) or "none"
        raise DatasetUnavailable(
            f"no image folder {folder_name!r}: put it at {folder}. Known here: {known}."
        )
    return folder, chosen if slash else None


def _make_splits(folder: str, images: Split) -> np.ndarray:
    """Return str (N,), the split of each image; refuse fewer groups or images than splits."""
    n_groups = 3 if images.groups is None else len(np.unique(images.groups))
    if n_groups < len(SPLIT_NAMES):
        # Anonymised headers often give all files one patient ID.
        raise DataError(
            f"{folder}: {n_groups} group(s) (patients) in all, too few for train, val and test, as "
            f"a group is never split. If the files are of more patients, say so in {LABELS} "
            "(column group)."
        )
    assigned = assign_splits(images.labels, images.groups)
    if len(set(assigned)) < len(SPLIT_NAMES):
        raise DataError(
            f"{folder}: no class has three images (or groups), too few for train, val and test; "
            f"add some, or say the splits in folders or in {LABELS}."
        )
    return assigned


def assign_splits(labels: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Assign 70 / 15 / 15 % to train, val and test, stratified by class; groups stay whole.

    Class by class, the groups (without groups: single images) are put into seeded random order,
    largest first, and each goes where most is wanting; the last ones go where nothing is yet. A
    class of three groups or more is in every split; one of fewer is in training alone.

    Args:
        labels: int64 (N,), in an order that does not depend on the file system.
        groups: str (N,), or None.

    Returns:
        str (N,), "train", "val" or "test".
    """
    members = (
        np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    )
    n_groups = members.max() + 1
    # A group of mixed labels counts for its most frequent one.
    votes = np.zeros((n_groups, labels.max() + 1), dtype=np.int64)
    np.add.at(votes, (members, labels), 1)
    sizes, majority = votes.sum(1), votes.argmax(1)
    of_group = np.full(n_groups, "train", dtype="<U5")
    for label in np.unique(majority):
        candidates = np.random.default_rng([SPLIT_SEED, label]).permutation(
            np.flatnonzero(majority == label)
        )
        if len(candidates) < 3:
            continue
        total = sizes[candidates].sum()
        held_out = [max(1.0, SPLIT_SHARES[split] * total) for split in SPLIT_NAMES[1:]]
        wanting = np.array([total - sum(held_out), *held_out])
        empty = np.full(len(SPLIT_NAMES), True)
        largest_first = candidates[np.argsort(-sizes[candidates], kind="stable")]
        for left, group in zip(range(len(candidates), 0, -1), largest_first, strict=True):
            open_to_it = empty | (left > empty.sum())
            split = int(np.where(open_to_it, wanting, -np.inf).argmax())
            wanting[split] -= sizes[group]
            empty[split] = False
            of_group[group] = SPLIT_NAMES[split]
    return of_group[members]


def _make_index(folder: Path, chosen: str | None) -> Index:
    if os.path.lexists(folder / LABELS):  # a folder or a link to nothing is an error, not absent
        return read_labels(folder, chosen)
    if chosen is not None:
        raise DataError(
            f"{folder.name}: no {LABELS}, so there is no split named {chosen!r}; load "
            f"cag:{folder.name}."
        )
    subfolders = [path.name for path in _visible(folder) if path.is_dir()]
    if not subfolders:
        loose = [path for path in _visible(folder) if path.is_file() and is_image(path)]
        state = f"{len(loose)} images but no class folders" if loose else "empty"
        raise DataError(
            f"{folder.name} is {state}; expected <class>/*.png, {{train,val,test}}/<class>/*.png "
            f"or {LABELS}."
        )
    # "Train" and "Test" are splits in another spelling, not classes.
    if not set(SPLIT_NAMES) & {name.lower() for name in subfolders}:
        return _list_classes(folder, {None: folder})
    if set(subfolders) != set(SPLIT_NAMES):
        raise DataError(
            f"{folder.name} has the folders {', '.join(subfolders)}; expected train, val and test, "
            "or class folders alone."
        )
    return _list_classes(folder, {split: folder / split for split in SPLIT_NAMES})


def _list_classes(folder: Path, parents: dict[str | None, Path]) -> Index:
    """Return what is in the class folders of each split, or of one parent for all (None)."""
    files, classes, splits = [], [], []
    for split, parent in parents.items():
        for path in _visible(parent):
            if path.is_file() and is_image(path):
                raise DataError(
                    f"{path.relative_to(folder.parent)} lies beside the class folders, in none."
                )
            if not path.is_dir():
                continue
            inside = _visible(path)
            if not inside:
                raise DataError(f"{folder.name}: the folder {path.relative_to(folder)} is empty.")
            files += [file.relative_to(folder).as_posix() for file in inside]
            classes += [path.name] * len(inside)
            splits += [split] * len(inside)
    class_names, labels = np.unique(np.array(classes, dtype=str), return_inverse=True)
    return Index(
        files=files,
        frames=[None] * len(files),
        labels=labels,
        splits=None if None in parents else np.array(splits, dtype=str),
        class_names=tuple(class_names.tolist()),
    )


def _visible(folder: Path) -> list[Path]:
    """List a folder in a fixed order, without what file managers and DICOM exports add to it.

    Raises:
        DataError: a name is no UTF-8 text, so that no record could hold it.
    """
    added = ("Thumbs.db", "DICOMDIR")
    found = sorted(
        path for path in folder.iterdir() if path.name[0] != "." and path.name not in added
    )
    if lost := [path for path in found if path.is_symlink() and not path.exists()]:
        raise DataError(f"{lost[0].relative_to(folder.parent)} is a link to nothing; remove it.")
    wrong = [name for p in found if (name := p.name).encode(errors="ignore").decode() != name]
    if wrong:
        raise DataError(f"{folder.name}: the name {os.fsencode(wrong[0])} is no UTF-8; rename it.")
    return found


def _boxes_of_images(folder: str, index: Index, read: ImageFiles) -> np.ndarray:
    boxes = _patch_boxes(index.boxes, read.images.shape[1])
    count = np.bincount(read.rows, minlength=len(boxes))
    spread = np.flatnonzero((count > 1) & np.isfinite(boxes[:, 0]))
    if len(spread):
        raise DataError(
            f"{folder}: {index.files[spread[0]]} has a box and {count[spread[0]]} frames; say in "
            f"{LABELS} (column frame) which frame the box is in."
        )
    return boxes[read.rows]


def _patch_boxes(boxes: pd.DataFrame, image_size: int) -> np.ndarray:
    """Return float32 (N, 4) boxes in pixels of the patch."""
    corner = boxes[["x", "y"]].to_numpy()
    extent = boxes[["width", "height"]].to_numpy()
    if "center_x" in boxes:
        # The patch covers centre +- half its size; a box may be larger than its patch.
        first = corner - boxes[["center_x", "center_y"]].to_numpy() + image_size / 2
        corner = np.clip(first, 0, image_size)
        extent = np.clip(first + extent, 0, image_size) - corner
    return np.concatenate([corner, extent], axis=1).astype(np.float32)
