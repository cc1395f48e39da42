"""Image folders under `REPRO_DATA/cag/`: images in class folders or with a labels.csv.

PNG, JPEG, TIFF and other pictures (`helpers.data.pictures`), and DICOM with one frame or many:
every frame is an image (`helpers.data.dicom`).

Three layouts:

- `<class>/*.png`: no split is given, so one is made (see `assign_splits`).
- `{train,val,test}/<class>/*.png`: the folders are the splits.
- `labels.csv` with the columns `file` and `label` (class index or class name) and, where known,
  `class` (name), `split` (train, val, test), `group` (patient), `frame` (one frame of a DICOM file,
  from 0; empty for all) and `box` (four numbers, x y width height in pixels of the image). Several
  splits of one folder are columns `split_<name>`, chosen by `cag:<folder>/<name>`; a column
  `in_<name>` (0 or 1) leaves rows out. Without a choice, `split` is used, else `split_full`, else a
  split is made. Boxes may also be given as `stenosis_box_xywh` in the whole frame with the patch's
  centre in `center_x` and `center_y` (ARCADE patches); these are clipped to the patch.

Groups are never split. Those of DICOM files are pseudonyms of the patients in the headers (else of
the study, else of the series, else of the file), unless labels.csv has its own. Pixels become uint8
as `helpers.data.image_files` says.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from helpers.data.image_files import ImageFiles, is_image, read_images
from helpers.data.splits import SPLIT_NAMES, DataError, DatasetUnavailable, Split, Splits

SPLIT_SEED = 0
SPLIT_SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
_ALL_FRAMES = -1
_LABELS = "labels.csv"
_INDEX = r"0|-?[1-9][0-9]{0,17}"  # a label that is a number; 010 is a name, like 1.0


@dataclass(frozen=True)
class _Index:
    """What is in the folder, before any image is read; a row is a file or one frame of it.

    `frames` None: all frames of each file; `splits` None: not given, so to be made.
    """

    files: list[str]
    labels: np.ndarray
    splits: np.ndarray | None
    class_names: tuple[str, ...]
    frames: list[int | None] | None = None
    groups: np.ndarray | None = None
    boxes: pd.DataFrame | None = None
    extra_bytes: bytes = field(default=b"", repr=False)


def list_image_folders(root: Path) -> list[str]:
    """Return the names under a folder `cag/`, with `/<name>` for each named split."""
    names = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ():
        if folder.name.startswith("."):
            continue
        names.append(f"cag:{folder.name}")
        # A damaged table, or one that may not be read, is said where its own set is asked for.
        with suppress(DataError, OSError):
            if (folder / _LABELS).is_file():
                table = _read_csv(folder)
                names += [f"cag:{folder.name}/{split}" for split in _named_splits(table)]
    return names


def load_image_folder(root: Path, name: str) -> Splits:
    """Load an image folder.

    Args:
        root: the folder `cag/` that holds the data sets.
        name: `cag:<folder>` or `cag:<folder>/<named split>`.

    Returns:
        Images as uint8, grey or RGB; `md5` is a digest of the files read and of labels.csv.

    Raises:
        DatasetUnavailable: there is no such folder.
        DataError: whatever is wrong in it, naming the file.
    """
    folder, chosen = find_folder(root, name)
    try:
        index = _make_index(folder, chosen)
        read = read_images(folder, index.files, index.frames or [None] * len(index.files))
    except OSError as error:  # no permission, or a disk that fails
        path = os.fsdecode(error.filename or folder)
        raise DataError(f"{folder.name}: cannot read {path}: {error.strerror}.") from error
    read.digest.update(index.extra_bytes)
    labels = index.labels[read.rows]
    groups = read.groups if index.groups is None else index.groups[read.rows]
    boxes = None if index.boxes is None else _boxes_of_images(folder.name, index, read)
    if index.splits is not None:
        assigned = index.splits[read.rows]
    else:
        _check_enough(folder.name, groups)
        assigned = assign_splits(labels, groups)
        if len(set(assigned)) < len(SPLIT_NAMES):
            raise DataError(
                f"{folder.name}: no class has three images (or groups), too few for train, val "
                f"and test; add some, or say the splits in folders or in {_LABELS}."
            )
    splits = {}
    for split in SPLIT_NAMES:
        rows = np.flatnonzero(assigned == split)
        splits[split] = Split(
            images=read.images[rows],
            labels=labels[rows],
            groups=None if groups is None else groups[rows],
            boxes=None if boxes is None else boxes[rows],
        )
    return Splits(
        name=name,
        **splits,
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


def _make_index(folder: Path, chosen: str | None) -> _Index:
    if os.path.lexists(folder / _LABELS):  # a folder or a link to nothing is an error, not absent
        return _index_csv(folder, chosen)
    if chosen is not None:
        raise DataError(
            f"{folder.name}: no {_LABELS}, so there is no split named {chosen!r}; load "
            f"cag:{folder.name}."
        )
    subfolders = {path.name: path for path in _visible(folder) if path.is_dir()}
    if not subfolders:
        loose = [path for path in _visible(folder) if path.is_file() and is_image(path)]
        state = f"{len(loose)} images but no class folders" if loose else "empty"
        raise DataError(
            f"{folder.name} is {state}; expected <class>/*.png, {{train,val,test}}/<class>/*.png "
            f"or {_LABELS}."
        )
    # "Train" and "Test" are splits in another spelling, not classes.
    if not set(SPLIT_NAMES) & {name.lower() for name in subfolders}:
        files, labels, names = _list_classes(folder, folder)
        return _Index(files, labels, None, names)
    if set(subfolders) != set(SPLIT_NAMES):
        raise DataError(
            f"{folder.name} has the folders {', '.join(sorted(subfolders))}; expected train, val "
            "and test, or class folders alone."
        )
    names = sorted({c.name for s in subfolders.values() for c in _visible(s) if c.is_dir()})
    parts = {s: _list_classes(folder, subfolders[s], tuple(names)) for s in SPLIT_NAMES}
    return _Index(
        files=[file for files, _, _ in parts.values() for file in files],
        labels=np.concatenate([labels for _, labels, _ in parts.values()]),
        splits=np.repeat(SPLIT_NAMES, [len(files) for files, _, _ in parts.values()]),
        class_names=tuple(names),
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


def _list_classes(
    folder: Path, parent: Path, class_names: tuple[str, ...] | None = None
) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Return files (relative to `folder`), labels and class names of the class folders."""
    children = _visible(parent)
    loose = [path for path in children if path.is_file() and is_image(path)]
    if loose:
        raise DataError(f"{loose[0].relative_to(folder)} lies beside the class folders, in none.")
    found = {path.name: path for path in children if path.is_dir()}
    class_names = class_names or tuple(sorted(found))
    files, labels = [], []
    for label, name in enumerate(class_names):
        inside = _visible(found[name]) if name in found else []
        if name in found and not inside:
            raise DataError(
                f"{folder.name}: the folder {found[name].relative_to(folder)} is empty."
            )
        files += [path.relative_to(folder).as_posix() for path in inside]
        labels += [label] * len(inside)
    return files, np.array(labels, dtype=np.int64), class_names


def _read_csv(folder: Path) -> pd.DataFrame:
    where = f"{folder.name}/{_LABELS}"
    try:
        if not os.path.isfile(folder / _LABELS):  # reading a pipe would never end
            raise OSError("no file")
        # The names of the columns as a row: pandas would rename one that stands twice, and take
        # the first cells for an index where all rows have one more than the header.
        table = pd.read_csv(
            folder / _LABELS, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:  # pandas' own parser errors, and other encodings
        raise DataError(
            f"{where} is not a readable table ({str(error).strip()}); expected text in UTF-8 with "
            "commas between the columns."
        ) from error
    # A row with fewer fields than the header is padded with NaN despite keep_default_na.
    table = table.fillna("").apply(lambda column: column.str.strip())
    columns = table.iloc[0].tolist()
    if missing := [column for column in ("file", "label") if column not in columns]:
        has = ", ".join(columns)[:300]
        raise DataError(
            f"{where} lacks the column {' and '.join(missing)}; it has {has}. Commas are expected "
            "between the columns, and their names in the first line."
        )
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise DataError(f"{where} has the column {', '.join(twice)} twice; expected it once.")
    table = table[1:].set_axis(columns, axis="columns").reset_index(drop=True)
    # A quote that is not closed takes the next rows into its cell; free text may have line breaks.
    for name in filter(re.compile("file|label|class|split.*|group|frame|box").fullmatch, columns):
        if len(broken := table[name][table[name].str.contains("[\r\n]")]):
            raise DataError(
                f"{where}: {name} is {broken.iloc[0][:80]!r}, with a line break; close its quotes."
            )
    return table


def _named_splits(table: pd.DataFrame) -> list[str]:
    prefix = "split_"
    return [column.removeprefix(prefix) for column in table.columns if column.startswith(prefix)]


def _index_csv(folder: Path, chosen: str | None) -> _Index:
    where = f"{folder.name}/{_LABELS}"
    table = _read_csv(folder)
    if table.empty:
        raise DataError(f"{where} has no rows.")
    labels, class_names = _csv_classes(where, table)
    table = table.assign(label=labels, file=[_inside(where, file) for file in table["file"]])
    table = table.assign(frame=_csv_frames(where, table))
    # A row without a frame is about all of them, so it must be its file's only one.
    repeated = table.duplicated(["file", "frame"]) | (
        table.duplicated("file", keep=False) & (table["frame"] == _ALL_FRAMES)
    )
    if repeated.any():
        raise DataError(
            f"{where} lists {_first_file(table, repeated)} twice ({repeated.sum()} repeated rows)."
        )
    column = _split_column(folder.name, table, chosen)
    table = _chosen_rows(where, table, column)
    if "group" in table and (table["group"] == "").any():
        raise DataError(f"{where}: {_first_file(table, table['group'] == '')} has no group.")
    table = table.sort_values(["file", "frame"], kind="stable").reset_index(drop=True)
    groups = np.array(table["group"].tolist(), dtype=str) if "group" in table else None
    labels = table["label"].to_numpy(dtype=np.int64)
    splits = None if column is None else np.array(table[column].tolist(), dtype=str)
    return _Index(
        files=table["file"].tolist(),
        labels=labels,
        splits=splits,
        class_names=class_names,
        frames=[None if frame == _ALL_FRAMES else frame for frame in table["frame"].tolist()],
        groups=groups,
        boxes=_csv_boxes(where, table),
        extra_bytes=(folder / _LABELS).read_bytes(),
    )


def _first_file(table: pd.DataFrame, rows: pd.Series) -> str:
    return table["file"][rows].iloc[0]


def _inside(where: str, file: str) -> str:
    """Return a file name in plain form; refuse one that leads out of the folder."""
    path = PurePosixPath(file)
    if not file or "\\" in file or path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"{where}: file {file!r}; expected a path inside the folder with / between its parts."
        )
    return path.as_posix()


def _csv_frames(where: str, table: pd.DataFrame) -> pd.Series:
    """Return the frame of each row, int64; _ALL_FRAMES where none is given."""
    if "frame" not in table:
        return pd.Series(_ALL_FRAMES, index=table.index)
    wrong = ~table["frame"].str.fullmatch("[0-9]{0,9}")
    _refuse(where, table, wrong, "frame", "a whole number from 0, or nothing for all frames")
    return table["frame"].replace("", str(_ALL_FRAMES)).astype(np.int64)


def _csv_classes(where: str, table: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return int64 labels and class names from `label` and, if there is one, `class`."""
    empty = table["label"] == ""
    if empty.any():
        raise DataError(f"{where}: {_first_file(table, empty)} has no label.")
    index = table["label"].str.fullmatch(_INDEX)
    if not index.all():
        if index.any():
            both = table.loc[[index.idxmax(), index.idxmin()]]
            shown = " and ".join(f"{row.label!r} for {row.file}" for row in both.itertuples())
            raise DataError(
                f"{where}: label mixes class indices and class names, {shown}; use one of the two."
            )
        labels, names = pd.factorize(table["label"], sort=True)  # numpy would drop a NUL at an end
        return labels.astype(np.int64), tuple(names)
    labels = table["label"].astype(np.int64)
    count = labels.nunique()
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        raise DataError(
            f"{where}: label {labels[wrong].iloc[0]} of {_first_file(table, wrong)} is out of "
            f"range; {count} classes need the labels 0 to {count - 1}."
        )
    if "class" not in table:
        return labels.to_numpy(), tuple(f"class {k}" for k in range(count))
    pairs = table.assign(label=labels)[["label", "class"]].drop_duplicates()
    if len(pairs) != count or pairs["class"].nunique() != count:
        raise DataError(
            f"{where}: label and class disagree: "
            f"{sorted(pairs.itertuples(index=False, name=None))}; one name a label is expected."
        )
    return labels.to_numpy(), tuple(pairs.sort_values("label")["class"])


def _split_column(folder: str, table: pd.DataFrame, chosen: str | None) -> str | None:
    named = _named_splits(table)
    known = ", ".join(f"cag:{folder}/{name}" for name in named) or "none"
    if chosen is not None:
        if chosen not in named:
            raise DataError(f"{folder}: no split named {chosen!r}; known: {known}.")
        return f"split_{chosen}"
    for column in ("split", "split_full"):
        if column in table:
            return column
    if named:
        raise DataError(f"{folder}: no default split (column split or split_full); use {known}.")
    return None


def _chosen_rows(where: str, table: pd.DataFrame, column: str | None) -> pd.DataFrame:
    if column is None:
        return table
    flag = "in_" + column.removeprefix("split_")
    if column != "split" and flag in table:
        _refuse(where, table, ~table[flag].isin(["0", "1"]), flag, "0 or 1")
        table = table[table[flag] == "1"]
    _refuse(where, table, ~table[column].isin(SPLIT_NAMES), column, ", ".join(SPLIT_NAMES))
    return table


def _refuse(where: str, table: pd.DataFrame, wrong: pd.Series, column: str, expected: str) -> None:
    """Raise a `DataError` that names the first row that is wrong, if there is one."""
    if wrong.any():
        cell, file = table.loc[wrong.idxmax(), [column, "file"]]
        raise DataError(f"{where}: {column} is {cell!r} for {file}; expected {expected}.")


def _csv_boxes(where: str, table: pd.DataFrame) -> pd.DataFrame | None:
    """Return x, y, width, height (NaN where none) and the patch centre, if frames are meant."""
    column = next((c for c in ("box", "stenosis_box_xywh") if c in table), None)
    if column is None or (table[column] == "").all():
        return None
    given = table[column] != ""
    fields = ["x", "y", "width", "height"]
    values = table[column][given].str.split(r"[\s,;]+", regex=True)
    wrong = values.str.len() != 4
    if not wrong.any():
        numbers = values.apply(pd.Series).apply(pd.to_numeric, errors="coerce")
        wrong = numbers.isna().any(axis=1)
    _refuse(where, table, wrong, column, "four numbers: x y width height")
    boxes = pd.DataFrame(np.nan, index=table.index, columns=fields)
    boxes.loc[given] = numbers.to_numpy(dtype=float)
    if column == "box":
        return boxes
    for centre in ("center_x", "center_y"):
        if centre not in table:
            raise DataError(f"{where}: {column} is in the whole frame and needs {centre}.")
        boxes[centre] = pd.to_numeric(table[centre], errors="coerce")
        wrong = boxes[centre].isna() & given
        if wrong.any():
            raise DataError(f"{where}: {_first_file(table, wrong)} has no number in {centre}.")
    return boxes


def _check_enough(folder: str, groups: np.ndarray | None) -> None:
    """Refuse fewer groups than splits: anonymised headers often give all files one patient ID."""
    n_groups = 3 if groups is None else len(np.unique(groups))
    if n_groups < len(SPLIT_NAMES):
        raise DataError(
            f"{folder}: {n_groups} group(s) (patients) in all, too few for train, val and test, as "
            f"a group is never split. If the files are of more patients, say so in {_LABELS} "
            "(column group)."
        )


def _boxes_of_images(folder: str, index: _Index, read: ImageFiles) -> np.ndarray:
    boxes = _patch_boxes(index.boxes, read.images.shape[1])
    count = np.bincount(read.rows, minlength=len(boxes))
    spread = np.flatnonzero((count > 1) & np.isfinite(boxes[:, 0]))
    if len(spread):
        raise DataError(
            f"{folder}: {index.files[spread[0]]} has a box and {count[spread[0]]} frames; say in "
            f"{_LABELS} (column frame) which frame the box is in."
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
