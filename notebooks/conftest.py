"""`pytest --nbval notebooks/` and `pytest --nbval-lax notebooks/`, with and without data.

A cell that needs a data set or weights that cannot be had here is skipped with the reason, and so
is every later cell that reads a name which that cell should have made. All others run as always.
"""

import ast
import builtins
import dis
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
from nbval.plugin import IPyNbCell, NbCellError

LACKING = ("DatasetUnavailable", "WeightsUnavailable")
# How a notebook says that it goes on without something.
SAID = re.compile(r"^.*cannot be had here.*$", re.MULTILINE)
LACKS = pytest.StashKey[dict[str, str]]()  # name -> why a notebook does not have it


def pytest_configure(config: pytest.Config) -> None:
    """Compare what may differ as `make test` does, in kernels of one thread: equal last bits."""
    if config.option.nbval or config.option.nbval_lax:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if config.option.nbval_sanitize_with is None:
            rules = Path(__file__).resolve().parent.parent / "tests" / "nbval_sanitize.cfg"
            config.option.nbval_sanitize_with = str(rules)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a cell that reads what a skipped one should have made."""
    if isinstance(item, IPyNbCell):
        lacks = item.parent.stash.setdefault(LACKS, {})
        read, made = names_of(item.cell.source)
        for name in sorted(read & lacks.keys()):
            lacks.update(dict.fromkeys(made, lacks[name]))
            pytest.skip(f"{item.parent.name}: needs {name}: {lacks[name]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Turn the failure of a cell that lacks something into a skip."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    lacks = item.parent.stash[LACKS]
    _, made = names_of(item.cell.source)
    try:
        result = yield
    except NbCellError as error:
        reason = why_lacking(item.test_outputs or [], compared="outputs differ" in str(error))
        if reason is None:
            raise
        lacks.update(dict.fromkeys(made, reason))
        pytest.skip(f"{item.parent.name}: {reason}")
    for name in made:  # made anew, from what is there
        lacks.pop(name, None)
    return result


def why_lacking(outputs: list, *, compared: bool) -> str | None:
    """Return what a failed cell says is not here, None if it failed for another reason.

    Args:
        outputs: of the cell, in nbformat's form.
        compared: whether it ran and only printed something else than was committed.
    """
    for output in outputs:
        if output.output_type == "error" and output.ename in LACKING:
            return output.evalue
        if compared and (said := SAID.search(output.get("text", ""))):
            return said[0]
    return None


def names_of(source: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell reads before it makes them, and those that it makes."""
    read: set[str] = set()
    made: set[str] = set()
    try:
        code = compile(ast.parse(source), "cell", "exec")
    except SyntaxError:  # a magic command
        return read, made
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("STORE_NAME", "STORE_GLOBAL"):
            made.add(instruction.argval)
        elif instruction.opname == "LOAD_NAME" and instruction.argval not in made:
            read.add(instruction.argval)
    for inner in _inner(code):
        loaded = {i.argval for i in dis.get_instructions(inner) if i.opname == "LOAD_GLOBAL"}
        read |= loaded - made
    return read - set(dir(builtins)), made


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)
