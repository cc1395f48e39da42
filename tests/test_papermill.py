"""A notebook called as users call it: a wrong parameter stops it before anything is trained."""

import subprocess
import sys

import nbformat
import pytest
from click.testing import CliRunner
from papermill.cli import papermill

from helpers.paths import repo_root

NOTEBOOK = str(repo_root() / "notebooks" / "04_train.ipynb")
COMMON = ("--no-progress-bar", "-p", "dataset", "phantom")


def test_a_wrong_parameter_ends_the_command_before_anything_is_trained(tmp_path, results_tree):
    command = [sys.executable, "-m", "papermill", NOTEBOOK, str(tmp_path / "out.ipynb")]
    done = subprocess.run(
        [*command, *COMMON, "-p", "sede", "3"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "unknown parameter sede; known: recipe, dataset, model, seed" in done.stderr
    assert not list(results_tree.glob("**/run.json"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-y", "learning_rate: 1e-4"], "learning_rate must be float, got '1e-4'"),
        (["-p", "model", "medspectralnt"], "unknown model 'medspectralnt'; known: medspectralnet"),
    ],
)
def test_the_cell_after_the_parameters_refuses_them(options, message, tmp_path, results_tree):
    """As papermill writes the notebook; its cells run here, without a kernel for each."""
    written = tmp_path / "out.ipynb"
    done = CliRunner().invoke(
        papermill, ["--prepare-only", NOTEBOOK, str(written), *COMMON, *options]
    )
    assert done.exit_code == 0, done.output
    cells = [cell for cell in nbformat.read(written, 4).cells if cell.cell_type == "code"]
    namespace: dict = {"__name__": "__main__"}
    (place,) = [
        i for i, c in enumerate(cells) if "injected-parameters" in c.metadata.get("tags", [])
    ]
    for cell in cells[: place + 1]:
        exec(cell.source, namespace)
    with pytest.raises(ValueError, match=message):
        exec(cells[place + 1].source, namespace)
    assert not list(results_tree.glob("**/run.json"))
