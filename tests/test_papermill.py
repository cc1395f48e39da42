"""A notebook called as users call it: a wrong parameter stops it before anything is trained."""

import subprocess
import sys

import pytest

from helpers.paths import repo_root


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-p", "sede", "3"], "unknown parameter sede; known: recipe, dataset, model, seed"),
        (["-y", "learning_rate: 1e-4"], "learning_rate must be float, got '1e-4'"),
        (["-p", "model", "medspectralnt"], "unknown model 'medspectralnt'; known: medspectralnet"),
    ],
)
def test_a_wrong_parameter_stops_04_train_at_once(options, message, tmp_path, results_tree):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "papermill", "--no-progress-bar"),
            *(str(repo_root() / "notebooks" / "04_train.ipynb"), str(tmp_path / "out.ipynb")),
            *("-p", "dataset", "phantom", *options),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(results_tree.glob("**/run.json"))
