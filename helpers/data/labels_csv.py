"""A table of images, `labels.csv`: their classes and, where known, splits, groups and boxes.

Columns: `file` and `label` (class index or class name) and, where known, `class` (name), `split`
(train, val, test), `group` (patient), `frame` (one frame of a DICOM file, from 0; empty for all)
and `box` (four numbers, x y width height in pixels of the image).

Several splits of one folder are columns `split_<name>`, chosen by `cag:<folder>/<name>`; a column
`in_<name>` (0 or 1) leaves rows out. Without a choice, `split` is used, else `split_full`, else a
split is made. Boxes may also be given as `stenosis_box_xywh` in the whole frame with the patch's
centre in `center_x` and `center_y` (ARCADE patches); these are clipped to the patch.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from helpers.data.splits import SPLIT_NAMES, DataError

LABELS = "labels.csv"
_ALL_FRAMES = -1
_INDEX = r"0|-?[1-9][0-9]{0,17}"  # a label that is a number; 010 is a name, like 1.0


@dataclass(frozen=True)
class Index:
    """What is in an image folder, before any image is read; a row is a file or one frame of it."""

    files: list[str]  # (N,) names within the folder; rows of one file follow each other
    frames: list[int | None]  # (N,) frame from 0, or None for all frames of the file
    labels: np.ndarray  # int64 (N,)
    splits: np.ndarray | None  # str (N,); None: not given, so to be made
    class_names: tuple[str, ...]  # one name a class
    groups: np.ndarray | None = None  # str (N,), or None
    # Columns x, y, width, height (NaN where none) and, if whole frames are meant, the patch's
    # center_x and center_y; pixels.
    boxes: pd.DataFrame | None = None


def named_splits(folder: Path) -> list[str]:
    """Return the names of the splits that the table of a folder has beside its own one."""
    return _named_splits(_read_table(folder / LABELS))


def read_labels(folder: Path, chosen: str | None) -> Index:
    """Read the table of a folder with the chosen split of its named ones; None: the default one.

    Raises:
        DataError: whatever is wrong in it, naming table, column and row.
    """
    try:
        return _index(folder, chosen)
    except DataError as error:
        raise DataError(f"{folder.name}/{LABELS}: {error}") from error.__cause__


def _index(folder: Path, chosen: str | None) -> Index:
    table = _read_table(folder / LABELS)
    if table.empty:
        raise DataError("it has no rows.")
    labels, class_names = _classes(table)
    table = table.assign(label=labels, file=[_inside(file) for file in table["file"]])
    table = table.assign(frame=_frames(table))
    # A row without a frame is about all of them, so it must be its file's only one.
    repeated = table.duplicated(["file", "frame"]) | (
        table.duplicated("file", keep=False) & (table["frame"] == _ALL_FRAMES)
    )
    if repeated.any():
        file = table["file"][repeated].iloc[0]
        raise DataError(f"it lists {file} twice ({repeated.sum()} repeated rows).")
    column = _split_column(folder.name, table, chosen)
    if column is not None:
        table = _chosen_rows(table, column)
    if "group" in table:
        _refuse(table, table["group"] == "", "group", "a group in every row")
    table = table.sort_values(["file", "frame"], kind="stable").reset_index(drop=True)
    return Index(
        files=table["file"].tolist(),
        frames=[None if frame == _ALL_FRAMES else frame for frame in table["frame"].tolist()],
        labels=table["label"].to_numpy(dtype=np.int64),
        splits=None if column is None else np.array(table[column].tolist(), dtype=str),
        class_names=class_names,
        groups=np.array(table["group"].tolist(), dtype=str) if "group" in table else None,
        boxes=_boxes(table),
    )


def _read_table(path: Path) -> pd.DataFrame:
    """Return the cells of a table as text, those of empty ones as ""."""
    try:
        if not os.path.isfile(path):  # reading a pipe would never end
            raise OSError("no file")
        # The names of the columns as a row: pandas would rename one that stands twice, and take
        # the first cells for an index where all rows have one more than the header.
        table = pd.read_csv(
            path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (ValueError, OSError) as error:  # pandas' own parser errors, and other encodings
        raise DataError(
            f"it is not a readable table ({str(error).strip()}); expected text in UTF-8 with "
            "commas between the columns."
        ) from error
    # A row with fewer fields than the header is padded with NaN despite keep_default_na.
    table = table.fillna("").map(str.strip)
    columns = table.iloc[0].tolist()
    if missing := [column for column in ("file", "label") if column not in columns]:
        has = ", ".join(columns)[:300]
        raise DataError(
            f"it lacks the column {' and '.join(missing)}; it has {has}. Commas are expected "
            "between the columns, and their names in the first line."
        )
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise DataError(f"it has the column {', '.join(twice)} twice; expected it once.")
    table = table[1:].set_axis(columns, axis="columns").reset_index(drop=True)
    # A quote that is not closed takes the next rows into its cell; free text may have line breaks.
    for name in filter(re.compile("file|label|class|split.*|group|frame|box").fullmatch, columns):
        if len(broken := table[name][table[name].str.contains("[\r\n]")]):
            raise DataError(
                f"{name} is {broken.iloc[0][:80]!r}, with a line break; close its quotes."
            )
    return table


def _refuse(table: pd.DataFrame, wrong: pd.Series, column: str, expected: str) -> None:
    """Raise a `DataError` that names the first row that is wrong, if there is one."""
    if wrong.any():
        cell, file = table.loc[wrong.idxmax(), [column, "file"]]
        raise DataError(f"{column} is {cell!r} for {file}; expected {expected}.")


def _inside(file: str) -> str:
    """Return a file name in plain form; refuse one that leads out of the folder."""
    path = PurePosixPath(file)
    if not file or "\\" in file or path.is_absolute() or ".." in path.parts:
        raise DataError(
            f"file {file!r}; expected a path inside the folder with / between its parts."
        )
    return path.as_posix()


def _frames(table: pd.DataFrame) -> pd.Series:
    """Return the frame of each row, int64; _ALL_FRAMES where none is given."""
    if "frame" not in table:
        return pd.Series(_ALL_FRAMES, index=table.index)
    wrong = ~table["frame"].str.fullmatch("[0-9]{0,9}")
    _refuse(table, wrong, "frame", "a whole number from 0, or nothing for all frames")
    return table["frame"].replace("", str(_ALL_FRAMES)).astype(np.int64)


def _classes(table: pd.DataFrame) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return int64 labels and class names from `label` and, if there is one, `class`."""
    _refuse(table, table["label"] == "", "label", "a class index or a class name")
    index = table["label"].str.fullmatch(_INDEX)
    if not index.all():
        if index.any():
            both = table.loc[[index.idxmax(), index.idxmin()]]
            shown = " and ".join(f"{row.label!r} for {row.file}" for row in both.itertuples())
            raise DataError(
                f"label mixes class indices and class names, {shown}; use one of the two."
            )
        labels, names = pd.factorize(table["label"], sort=True)  # numpy would drop a NUL at an end
        return labels.astype(np.int64), tuple(names)
    labels = table["label"].astype(np.int64)
    count = labels.nunique()
    expected = f"0 to {count - 1}, as there are {count} classes"
    _refuse(table, (labels < 0) | (labels >= count), "label", expected)
    if "class" not in table:
        return labels.to_numpy(), tuple(f"class {k}" for k in range(count))
    pairs = table.assign(label=labels)[["label", "class"]].drop_duplicates()
    if len(pairs) != count or pairs["class"].nunique() != count:
        raise DataError(
            f"label and class disagree: {sorted(pairs.itertuples(index=False, name=None))}; one "
            "name a label is expected."
        )
    return labels.to_numpy(), tuple(pairs.sort_values("label")["class"])


def _named_splits(table: pd.DataFrame) -> list[str]:
    prefix = "split_"
    return [column.removeprefix(prefix) for column in table.columns if column.startswith(prefix)]


def _split_column(folder: str, table: pd.DataFrame, chosen: str | None) -> str | None:
    named = _named_splits(table)
    known = ", ".join(f"cag:{folder}/{name}" for name in named) or "none"
    if chosen is not None:
        if chosen not in named:
            raise DataError(f"no split named {chosen!r}; known: {known}.")
        return f"split_{chosen}"
    for column in ("split", "split_full"):
        if column in table:
            return column
    if named:
        raise DataError(f"no default split (column split or split_full); use {known}.")
    return None


def _chosen_rows(table: pd.DataFrame, column: str) -> pd.DataFrame:
    flag = "in_" + column.removeprefix("split_")
    if column != "split" and flag in table:
        _refuse(table, ~table[flag].isin(["0", "1"]), flag, "0 or 1")
        table = table[table[flag] == "1"]
    _refuse(table, ~table[column].isin(SPLIT_NAMES), column, ", ".join(SPLIT_NAMES))
    return table


def _boxes(table: pd.DataFrame) -> pd.DataFrame | None:
    """Return the boxes as `Index` has them; None if no row has one."""
    column = next((c for c in ("box", "stenosis_box_xywh") if c in table), None)
    if column is None or (table[column] == "").all():
        return None
    given = table[column] != ""
    parts = table[column][given].str.split(r"[\s,;]+", regex=True)
    expected = "four numbers: x y width height"
    _refuse(table, parts.str.len() != 4, column, expected)
    numbers = pd.DataFrame(parts.tolist(), index=parts.index).apply(pd.to_numeric, errors="coerce")
    _refuse(table, numbers.isna().any(axis=1), column, expected)
    boxes = pd.DataFrame(np.nan, index=table.index, columns=["x", "y", "width", "height"])
    boxes.loc[given] = numbers.to_numpy(dtype=float)
    if column == "box":
        return boxes
    for centre in ("center_x", "center_y"):
        if centre not in table:
            raise DataError(f"{column} is in the whole frame and needs {centre}.")
        boxes[centre] = pd.to_numeric(table[centre], errors="coerce")
        _refuse(table, boxes[centre].isna() & given, centre, "a number")
    return boxes
