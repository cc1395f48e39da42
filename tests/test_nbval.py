"""`pytest --nbval notebooks/` as it is typed: what needs data that is not here is skipped."""

import importlib.util
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from helpers.paths import repo_root

CONFTEST = repo_root() / "notebooks" / "conftest.py"
NEEDED = "class DatasetUnavailable(ValueError): pass\nraise DatasetUnavailable('x.npz is not here')"
# Source, what was committed as printed, outcome with --nbval and with --nbval-lax.
CELLS = [
    ("start = 1", "", ("passed", "passed")),
    (f"images = None\n{NEEDED}", "", ("skipped", "skipped")),
    ("n = len(images)", "", ("skipped", "skipped")),
    ("print(n)", "12", ("skipped", "skipped")),
    ("print(start)", "1", ("passed", "passed")),
    ("n = 2\nprint(n)", "2", ("passed", "passed")),
    ("n += 1\nprint(n)", "3", ("passed", "passed")),
    ("print('y cannot be had here: no pictures')", "picture", ("skipped", "passed")),
    ("print(start)", "2", ("failed", "passed")),
    ("raise ValueError('images')", "", ("failed", "failed")),
    ("for images in range(2):\n    pass\nprint(images)", "1", ("passed", "passed")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book") / "notebooks"
    folder.mkdir()
    shutil.copy(CONFTEST, folder)
    cells = []
    for number, (source, printed, _) in enumerate(CELLS, start=1):
        outputs = [nbformat.v4.new_output("stream", text=f"{printed}\n")] if printed else []
        cells.append(nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=number))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "a.ipynb")
    (folder.parent / "tests").mkdir()
    shutil.copy(repo_root() / "tests" / "nbval_sanitize.cfg", folder.parent / "tests")
    return folder


@pytest.mark.parametrize(("option", "place"), [("--nbval", 0), ("--nbval-lax", 1)])
def test_what_lacks_data_is_skipped_and_all_else_is_not(folder, option, place):
    command = [sys.executable, "-m", "pytest", option, "-v", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(folder)], cwd=folder.parent, capture_output=True, text=True, timeout=300
    )
    found = re.findall(r"Cell \d+ (PASSED|SKIPPED|FAILED)", done.stdout)
    expected = [outcomes[place] for _, _, outcomes in CELLS]
    assert [outcome.lower() for outcome in found] == expected, done.stdout[-3000:]
    assert "a.ipynb: x.npz is not here" in done.stdout
    assert "a.ipynb: needs images: x.npz is not here" in done.stdout


def test_names_are_read_where_they_are_not_made_before():
    spec = importlib.util.spec_from_file_location("nbval_conftest", CONFTEST)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.names_of("a = b + len(c)\nb = a") == ({"b", "c"}, {"a", "b"})
    assert module.names_of("def f(x):\n    return x + y\nprint(f(1))") == ({"y"}, {"f"})
    assert module.names_of("x += 1") == ({"x"}, {"x"})
    assert module.names_of("[i + k for i in rows]")[0] == {"rows", "k"}
    assert module.names_of("%magic") == (set(), set())
