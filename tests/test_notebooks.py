"""The rules of the house for notebooks: committed executed, small, and readable."""

import ast
import importlib.util
import subprocess
import sys

import nbformat
import pytest

from helpers.paths import repo_root

NOTEBOOKS = sorted((repo_root() / "notebooks").glob("*.ipynb"))
MEGABYTE = 2**20


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def printed(cell) -> str:
    """What a reader sees of a cell as text."""
    texts = []
    for output in cell.outputs:
        texts.append(output.get("text", ""))
        texts.append(output.get("data", {}).get("text/plain", ""))
    return "\n".join(texts)


def test_there_are_notebooks_numbered_and_small():
    assert len(NOTEBOOKS) >= 4
    for path in NOTEBOOKS:
        assert path.name[:2].isdigit(), path.name
        assert path.stat().st_size < 2 * MEGABYTE, f"{path.name} is over 2 MB"


def test_executed_from_a_fresh_kernel_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error"]


def test_every_name_is_imported_or_made_there_and_none_for_nothing():
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F"]
    found = subprocess.run([*ruff, *NOTEBOOKS], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_what_is_taken_from_this_repository_is_there(notebook):
    tree = ast.parse("\n".join(cell.source for cell in code_cells(notebook)))
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("helpers", "study"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if importlib.util.find_spec(node.module).submodule_search_locations and (
                    importlib.util.find_spec(name)
                ):
                    modules[alias.asname or alias.name] = importlib.import_module(name)
                else:
                    assert hasattr(importlib.import_module(node.module), alias.name), name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            assert module is None or hasattr(module, node.attr), f"{node.value.id}.{node.attr}"


def test_starts_with_a_title_and_ends_with_what_we_reproduced(notebook):
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert markdown[0].startswith("# ")
    for word in ("Question", "Paper", "Input", "Output", "Run time"):
        assert f"**{word}" in markdown[0], word
    assert any("What we reproduced" in text for text in markdown[-2:])


def test_one_parameters_cell_of_plain_literals_checked_in_the_next(notebook):
    cells = code_cells(notebook)
    tagged = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for statement in ast.parse(cells[tagged[0]].source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    assert "notebook_parameters(globals()" in cells[tagged[0] + 1].source


def test_no_class_no_long_function_no_shell(notebook):
    for cell in code_cells(notebook):
        assert not cell.source.lstrip().startswith(("!", "%%bash", "%pip"))
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.ClassDef), "a class belongs in helpers"
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 12, f"{node.name} belongs in helpers"


def test_outputs_are_short_and_name_no_machine(notebook):
    home = str(repo_root().parent)
    for cell in code_cells(notebook):
        text = printed(cell)
        assert text.count("\n") < 100
        assert home not in text
        assert "Warning" not in text


def test_every_picture_has_numbers_beside_it(notebook):
    """nbval does not compare pictures, so each plotting cell prints a digest."""
    for cell in code_cells(notebook):
        pictures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
        streams = [o for o in cell.outputs if o.output_type == "stream" and o.text.strip()]
        assert not pictures or streams, cell.source[:80]


def test_committed_on_real_data(notebook):
    assert not any("PHANTOM" in printed(cell) for cell in code_cells(notebook))
