"""Damaged copies of a file: of its bytes, of its lines, and of the values within it."""

import copy
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

N_CHANGES = 2000

DEEP: list = []
for _ in range(60):
    DEEP = [DEEP]

# What stands where something else is expected.
ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 10**40, -0.5, 1e308, float("nan"), float("inf")),
    *("", " ", "nan", "1e-4", "-1", "=1+1", "a\nb", "\t", "\0", "é狭🧿", "x" * 3000, "../.."),
    "{x}$_%",
    *([], {}, [None], [[]], [1, 1], {"a": None}, {"": ""}, {"1": 1}, ["x"] * 40, DEEP),
)

# What becomes of a text as a whole; "@" is where the text itself goes.
WRAPPED = (
    *(b"\xef\xbb\xbf@", b"@\0", b"@\x80", b"\t@", b"@\t\tx: 1\n", b"---\n@", b"@\n---\n@", b"@@"),
    *(b"%YAML 9.9\n---\n@", b"- @", b"[@", b"{@}", b'"@"', b"!!python/object:os.system @"),
    *(b"&a [*a]", b"a: &a\n  b: *a\n@", b"[" * 10**4, b"{" * 10**4, b"- " * 10**4),
    *(b"@\nodd: !!timestamp x\n", b"@\nodd: 2001-99-99\n", b"@\n? [a, b]\n: 1\n", b"@\n<<: 1\n"),
    *(b"@\nodd: !!binary x\n", b"@\nodd: !!set {a, b}\n", b"@\n1: 1\n", b"@\n~: 1\n"),
    b"@\nyes: 1\n",
    b"\n".join(
        b"a%d: &a%d [%s]" % (k, k, b", ".join([b"*a%d" % (k - 1) if k else b"x"] * 9))
        for k in range(12)
    ),
    b"- &a0 [x, x]\n"
    + b"".join(b"- &a%d [*a%d, *a%d]\n" % (k, k - 1, k - 1) for k in range(1, 40)),
)


def changed_bytes(content: bytes, n: int, seed: int = 0) -> Iterator[bytes]:
    """Yield damaged copies: flipped, cut, swapped, repeated, filled and replaced bytes."""
    rng = np.random.default_rng(seed)
    yield b""
    for k in range(n - 1):
        damaged = bytearray(content)
        a, b = sorted(rng.integers(0, len(content), 2))
        match k % 8:
            case 0 | 1 | 2 | 3:  # one byte, as often a bit as another printable character
                bit = k % 2 and content[a] < 128
                damaged[a] = rng.integers(32, 127) if bit else damaged[a] ^ (1 << rng.integers(8))
            case 4:
                damaged = damaged[:a]
            case 5:
                end = min(len(content), b + 20)
                damaged[a : a + 20], damaged[b:end] = damaged[b:end], damaged[a : a + 20]
            case 6:
                del damaged[a : a + int(rng.integers(1, 30))]
            case 7:
                damaged[a : a + 8] = bytes(
                    rng.choice([b"\0" * 8, b"\xff" * 8, b'"' * 8, b"\n" * 8])
                )
        yield bytes(damaged)


def wrapped(content: bytes) -> Iterator[bytes]:
    """Yield the text in other encodings, with other ends of lines, and amid what is none of it."""
    text = content.decode()
    yield from (text.encode(code, "replace") for code in ("utf-16", "utf-32", "cp1252", "cp500"))
    yield from (text.replace("\n", end).encode() for end in ("\r\n", "\r", "\n\n", "\n\t", "\x85"))
    yield from (text.replace(a, b).encode() for a, b in (("  ", "\t"), (":", "="), (",", ";")))
    yield from (shape.replace(b"@", content) for shape in WRAPPED)


def changed_lines(content: bytes, n: int, seed: int = 0) -> Iterator[bytes]:
    """Yield copies with lines dropped, doubled, moved, cut, indented and joined."""
    rng = np.random.default_rng(seed)
    lines = content.decode().splitlines(keepends=True)
    for k in range(n):
        made = list(lines)
        a, b = (int(place) for place in rng.integers(0, len(lines), 2))
        match k % 6:
            case 0:
                del made[a]
            case 1:
                made.insert(b, made[a])
            case 2:
                made[a], made[b] = made[b], made[a]
            case 3:
                made[a] = made[a][: int(rng.integers(0, len(made[a]) + 1))] + "\n"
            case 4:
                made[a] = " " * int(rng.integers(1, 5)) + made[a]
            case 5:
                made[a] = made[a].rstrip("\n")
        yield "".join(made).encode()


def changed_values(tree: Any, n: int, seed: int = 0) -> Iterator[Any]:
    """Yield copies of a tree of dicts, lists and values in which something is replaced or moved."""
    rng = np.random.default_rng(seed)
    for k in range(n):
        made = copy.deepcopy(tree)
        places = list(_places(made))
        inside, key = places[rng.integers(len(places))]
        match k % 8:
            case 0:
                del inside[key]
            case 1:  # a name that nothing has
                where = inside if isinstance(inside, dict) else made
                if isinstance(where, dict):
                    where[str(rng.choice(["odd", "", "__class__", "seed "]))] = 1
            case 2:  # what stands elsewhere
                other, there = places[rng.integers(len(places))]
                inside[key] = copy.deepcopy(other[there])
            case 3:
                inside[key] = [inside[key]]
            case _:
                inside[key] = ODD[rng.integers(len(ODD))]
        yield made


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def damaged(content: bytes, kind: str, n: int = N_CHANGES) -> Iterator[bytes]:
    """Yield damaged copies of a file: of a text half are of its lines and values.

    Args:
        content: of the whole file.
        kind: of the file, its suffix: ".json" and ".yaml" are taken apart, ".csv" has lines alone.
        n: how many, about.
    """
    if kind not in (".json", ".yaml", ".csv"):
        yield from changed_bytes(content, n)
        return
    yield from wrapped(content)
    yield from changed_bytes(content, n // 2)
    if kind == ".csv":
        yield from changed_lines(content, n // 4)
        rows = [line.split(",") for line in content.decode().splitlines()]
        for made in changed_values(rows, n // 4):
            lines = [",".join(map(str, row)) if isinstance(row, list) else str(row) for row in made]
            yield "\n".join(lines).encode("utf-8")
        return
    yield from changed_lines(content, n // 8)
    if kind == ".json":
        tree, write = json.loads(content), json.dumps
    else:
        options = {"Dumper": yaml.CSafeDumper, "sort_keys": False, "allow_unicode": True}
        tree, write = yaml.safe_load(content), partial(yaml.dump, **options)
    yield from (write(made).encode() for made in changed_values(tree, n - n // 2 - n // 8))


def survive(
    path: Path,
    read: Callable[[], Any],
    error: type[Exception] | tuple[type[Exception], ...],
    name: str | None = None,
    n: int = N_CHANGES,
) -> int:
    """Damage a file in many ways and read it.

    Each change is read, or refused by the one error, which names the file; nothing beside it is
    made or removed.

    Returns:
        How many changes were refused.
    """
    whole, beside = path.read_bytes(), sorted(path.parent.iterdir())
    read()
    refused = done = 0
    for content in damaged(whole, path.suffix, n):
        path.unlink()  # ext4 writes what takes a file's place to the disk at once
        path.write_bytes(content)
        done += 1
        try:
            read()
        except error as found:
            assert (name or path.name) in str(found), (found, content[:3000])
            assert len(str(found)) < 20_000, (str(found)[:3000], content[:3000])
            refused += 1
        except Exception as other:
            raise AssertionError(content[:3000]) from other
        assert path.read_bytes() == content
    path.write_bytes(whole)
    print(f"{path.name}: {done} changes, {refused} refused")  # pytest -s shows it
    assert sorted(path.parent.iterdir()) == beside
    assert done >= n and refused > n / 20  # a change of a number or a text may be a good file
    read()
    return refused
