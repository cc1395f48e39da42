"""The order of the house: what may import what."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from helpers.paths import repo_root


def modules() -> dict[str, ast.Module]:
    root, found = repo_root(), {}
    for package in ("helpers", "study"):
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST) -> set[str]:
    """Return the modules, or names in them, that the nodes of a tree import."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def at_import(tree: ast.Module) -> set[str]:
    """Return what is imported when a module is: imports in functions come later."""
    top = [n for n in tree.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return set().union(*(imported(node) for node in top))


def test_helpers_never_imports_study():
    trees = {name: tree for name, tree in modules().items() if name.split(".")[0] == "helpers"}
    upward = {
        name: sorted(wrong)
        for name, tree in trees.items()
        if (wrong := {i for i in imported(tree) if i.split(".")[0] == "study"})
    }
    assert len(trees) > 50 and not upward


def test_no_imports_run_in_a_circle():
    trees = modules()
    # "from package import module" asks for the module; the package itself stands for none of them.
    single = {name for name in trees if not any(other.startswith(f"{name}.") for other in trees)}
    graph = {name: (at_import(tree) & single) - {name} for name, tree in trees.items()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")
    assert set(order) == set(trees)
