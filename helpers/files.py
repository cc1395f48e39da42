"""Files that are read back, which may be damaged or made up: one reader for each kind.

Whatever is wrong with a file ends in a `DamagedFile` that names it, or, inside `reading`, in the
error of the module that reads it. Nothing is unpickled, and no array is larger than what the file
can hold and the reader expects. CSV cells are written so that a spreadsheet takes none of them for
a formula.
"""

import csv
import errno
import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from yaml.constructor import ConstructorError, SafeConstructor

if TYPE_CHECKING:  # slow to import, so only where they are needed
    import jinja2
    import pandas as pd

# Deflate makes at most 1032 bytes of one; a header that promises more lies.
_MOST_INFLATED = 1032
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Bytes of a text; the largest that is stored has about a twentieth of this. YAML is slow to read,
# and its aliases may make much of little: the largest file in params/ has 12 thousand bytes.
_MOST_TEXT, _MOST_YAML, _MOST_NODES = 64 * 2**20, 2**20, 100_000
# What content of the wrong form ends in where it is taken apart; nesting in a RecursionError.
_SENSELESS = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    RecursionError,
)
# Characters of a message, which may show a value of the file.
_MOST_SAID = 1000
# What the system says of a place that is not there or that nothing fits; all else it says of a file
# that may be whole.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL)
# A spreadsheet takes a cell that begins with one of these for a formula, or does not show the last:
# quoted like the others, it keeps two texts from looking alike.
_FORMULA = ("=", "+", "-", "@", "'")
# What our tables write of numbers: with a sign, with a deviation, with an interval.
_NUMBER = re.compile(r"[+-]?[\d.]+( (to|±) [+-]?[\d.]+)?")


class DamagedFile(ValueError):
    """A file cannot be read, or does not hold what it must."""


@contextmanager
def reading(
    path: Path, error: type[Exception], advice: str = "", *, whose: str = ""
) -> Iterator[None]:
    """Turn what senseless content of a file raises into one error that names the file.

    Its message is the reason, `whose` file it is, in brackets, and `advice_for` a damaged one.
    """
    whose = f" ({whose})" if whose else ""
    try:
        yield
    except DamagedFile as found:
        said = f"cannot read {found}"
        raise error(said[:_MOST_SAID] + whose + advice_for(found, advice)) from found
    except error as found:
        said = str(found) if path.name in str(found) else f"{path.name}: {found}"
        raise error(said[:_MOST_SAID]) from found
    except _SENSELESS as found:
        said = f"cannot read {path.name}: {_reason(found)}"
        raise error(said[:_MOST_SAID] + whose + advice_for(found, advice)) from found


def advice_for(error: BaseException, damaged: str) -> str:
    """Return the advice for a damaged file, or another where it merely could not be read."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno not in (None, *_NOT_THERE):
        return "; it may be whole: see to its permissions and its disk, and try again"
    return damaged


def _reason(error: BaseException) -> str:
    """Say what is wrong; of some errors the message alone would not say it."""
    match error:
        case OSError(strerror=str(reason)):
            return reason
        case KeyError():
            return f"the key {error} is missing"
        case json.JSONDecodeError():
            return f"it is not valid JSON: {error}"
        case yaml.YAMLError():
            return f"not valid YAML: {error}"
    return str(error) or type(error).__name__


@contextmanager
def _damaged(name: str, *others: type[Exception]) -> Iterator[None]:
    """Turn whatever a parser raises, but for the others, into a `DamagedFile` of this name."""
    try:
        yield
    except (DamagedFile, *others):
        raise
    except Exception as error:
        raise DamagedFile(f"{name}: {_reason(error)}") from error


def _text(path: Path, most: int = _MOST_TEXT) -> str:
    if (size := path.stat().st_size) > most:
        raise DamagedFile(f"{path.name}: {size:,} bytes are more than {most:,}")
    return path.read_bytes().decode("utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, in UTF-8, all of its numbers finite.

    Raises:
        DamagedFile: it cannot be read.
        FileNotFoundError: there is none.
    """
    with _damaged(path.name, FileNotFoundError):
        return json.loads(_text(path), parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text:.20} is no finite number")
    return number


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file, see `parse_yaml`.

    Raises:
        DamagedFile: it cannot be read or holds something else.
        FileNotFoundError: there is none.
    """
    return parse_yaml(yaml_text(path), path.name)


def yaml_text(path: Path) -> str:
    """Return the text of a YAML file; errors as of `read_yaml`."""
    with _damaged(path.name, FileNotFoundError):
        return _text(path, _MOST_YAML)


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """Return the content of YAML, keys with values, all of its numbers finite.

    A key that stands twice in one place is an error, else the first would be lost; so are aliases
    that hold themselves, or that make more of the file than `_MOST_NODES` values.

    Raises:
        DamagedFile: it cannot be read, or holds something else; the message begins with the name.
    """
    with _damaged(name):
        content = _parsed(text)
    if not isinstance(content, dict):
        raise DamagedFile(f"{name}: expected keys with values, it holds {content!r:.80}")
    return content


def _parsed(text: str) -> Any:
    root = yaml.compose(text, yaml.SafeLoader)  # the loader in C crashes on deep nesting
    if root is None:
        return None
    if _expanded(root, {}) > _MOST_NODES:
        raise ValueError(f"its aliases make more than {_MOST_NODES:,} values of it")
    return SafeConstructor().construct_document(root)


def _expanded(node: yaml.Node, known: dict[yaml.Node, int | None]) -> int:
    """Return how many values a node holds once its aliases are written out; check them."""
    if node in known:
        if (size := known[node]) is None:
            raise _fault(node, "an alias stands within what it names")
        return size
    known[node] = None
    inside = list(node.value) if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(key, "a key is no text")
            if key.value in seen:
                raise _fault(key, f"{key.value} stands twice in one place")
            seen.add(key.value)
            inside.append(value)
    elif node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
        if re.match(r"[-+]?0[0-9_]|.*:", node.value):
            raise _fault(
                node,
                f"{node.value} is read as another number (base 8 or 60); write it without its "
                "leading zeros or colons, or in quotes if it is a word",
            )
        _finite(str(SafeConstructor().construct_object(node)))
    known[node] = size = 1 + sum(_expanded(value, known) for value in inside)
    return size


def _fault(node: yaml.Node, what: str) -> yaml.YAMLError:
    return ConstructorError(None, None, what, node.start_mark)


def read_csv(path: Path, columns: Mapping[str, type]) -> "pd.DataFrame":
    """Return a CSV file of known columns.

    Args:
        path: in UTF-8, with the names of the columns in its first line.
        columns: name -> int, float (an empty cell is NaN) or str (an empty cell is "").

    Raises:
        DamagedFile: it cannot be read, has other columns, or a cell is not of its kind.
    """
    import pandas as pd

    with _damaged(path.name):
        reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
        head, *rows = [(reader.line_num, row) for row in reader if row] or [(0, [])]
    if head[1] != list(columns):
        raise DamagedFile(
            f"{path.name}: it has the columns {', '.join(head[1]) or 'of nothing'}; expected "
            f"{', '.join(columns)}"
        )
    for line, row in rows:
        if len(row) != len(columns):
            raise DamagedFile(
                f"{path.name}, line {line}: {len(row)} cells, expected {len(columns)}"
            )
    kinds = {int: "int64", float: "float64", str: "str"}
    table = {}
    for k, (name, kind) in enumerate(columns.items()):
        cells = [_cell(path, line, name, row[k], kind) for line, row in rows]
        table[name] = pd.Series(cells, dtype=kinds[kind])
    return pd.DataFrame(table)


def _cell(path: Path, line: int, name: str, text: str, kind: type) -> Any:
    if kind is float and text == "":
        return math.nan
    try:
        value = kind(text)
        if kind is int:
            np.int64(value)
        return value
    except (ValueError, TypeError, OverflowError):
        raise DamagedFile(
            f"{path.name}, line {line}: {name} is {text!r:.80}, expected {kind.__name__}"
        ) from None


# --- arrays --------------------------------------------------------------------------------------


class Arrays:
    """The arrays of an npz file, whose headers are checked before anything is allocated.

    `names` are those of the arrays, `sizes` the named sizes of shapes: a new name takes the size
    that it meets first.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, sizes: Mapping[str, int]):
        self._path, self._archive = path, archive
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        self.names = tuple(self._members)
        self.sizes = dict(sizes)

    def read(
        self,
        name: str,
        kinds: str | None = None,
        shape: Sequence[int | str | None] | None = None,
        most: int | None = None,
    ) -> np.ndarray:
        """Return one array.

        Args:
            name: one of `names`.
            kinds: numpy's letters of the kinds of numbers that are taken, "iu" or "f" for instance;
                None takes all but objects.
            shape: one size an axis: a number, a name (see `sizes`), or None for any; None takes
                any number of axes.
            most: of a size that is not known yet.

        Raises:
            DamagedFile: no such array, or of another form.
        """
        if name not in self._members:
            raise DamagedFile(
                f"{self._path.name} lacks {name}; it has {', '.join(self.names)[:300] or 'nothing'}"
            )
        info = self._members[name]
        dtype, found, header = self._header(info)
        where = f"{self._path.name}: {name}"
        if dtype.hasobject:
            raise DamagedFile(
                f"{where} is a pickled object array, which is never loaded (it could run code); "
                "expected plain numbers or text"
            )
        if (kinds is not None and dtype.kind not in kinds) or not self._fits(found, shape, most):
            wanted = "any shape" if shape is None else f"shape {self._shown(shape)}"
            wanted += "" if most is None else f", at most {most} along an axis"
            raise DamagedFile(
                f"{where} has {dtype} of shape {found}; expected kind {kinds or 'any'}, {wanted}"
            )
        length = header + dtype.itemsize * int(np.prod([1, *found], dtype=object))
        if length != info.file_size or length > _MOST_INFLATED * info.compress_size + header:
            raise DamagedFile(
                f"{where} should take {length:,} bytes with shape {found}, the file has "
                f"{info.file_size:,}, of {info.compress_size:,} packed"
            )
        with self._archive.open(info) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def _header(self, info: zipfile.ZipInfo) -> tuple[np.dtype, tuple[int, ...], int]:
        """Return dtype and shape of an array, and how many bytes its header takes."""
        if info.compress_type not in _STORED:
            raise DamagedFile(f"{self._path.name}: {info.filename} is packed in an unknown way")
        with self._archive.open(info) as stream:
            match np.lib.format.read_magic(stream):
                case (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
                case (2, 0):
                    shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
                case version:
                    raise DamagedFile(f"{self._path.name}: {info.filename} has version {version}")
            return dtype, shape, stream.tell()

    def _fits(
        self,
        found: tuple[int, ...],
        shape: Sequence[int | str | None] | None,
        most: int | None,
    ) -> bool:
        if shape is None:
            return all(size >= 0 for size in found)
        if len(found) != len(shape) or any(size < 0 for size in found):
            return False
        for size, wanted in zip(found, shape, strict=True):
            known = self.sizes.get(wanted) if isinstance(wanted, str) else wanted
            if known is None and most is not None and size > most:
                return False
            if known not in (None, size):
                return False
        self.sizes |= {w: s for s, w in zip(found, shape, strict=True) if isinstance(w, str)}
        return True

    def _shown(self, shape: Sequence[int | str | None]) -> str:
        return f"({', '.join(str(self.sizes.get(s, s)) for s in shape)})".replace("None", "any")


@contextmanager
def open_arrays(path: Path, **sizes: int) -> Iterator[Arrays]:
    """Open an npz file; whatever is wrong with it, but for a `MemoryError`, is a `DamagedFile`.

    `sizes` are the known ones, by the names that the shapes of `Arrays.read` have for them.
    """
    with _damaged(path.name, MemoryError), zipfile.ZipFile(path) as archive:
        yield Arrays(path, archive, sizes)


# --- cells ---------------------------------------------------------------------------------------


def load_template(name: str, *, package: str = "helpers", escape: bool = True) -> "jinja2.Template":
    """Return a template of a package: it escapes HTML or not; a missing value is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def text_cell(text: str) -> str:
    """Return text as a spreadsheet shows it: behind a quote where it would be a formula.

    A text that begins with = + - @ ' or a control character gets a leading ', which spreadsheets
    do not show.
    """
    return f"'{text}" if text.startswith(_FORMULA) or (text and text[0] < " ") else text


def guarded(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return a table whose text cells and column names a spreadsheet takes for text.

    Numbers stay numbers, also negative ones in a column of text.
    """
    table = table.copy()
    for k, dtype in enumerate(table.dtypes):
        if dtype.kind not in "iufb":
            table.isetitem(k, table.iloc[:, k].map(_guarded))
    return table.rename(columns=_guarded)


def _guarded(cell: Any) -> Any:
    return text_cell(cell) if isinstance(cell, str) and not _NUMBER.fullmatch(cell) else cell
