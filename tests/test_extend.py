"""The worked examples of docs/extend.md, run as they stand."""

import re

import pytest
import torch

from helpers.data.datasets import load_dataset
from helpers.models import registry
from helpers.models.registry import ModelEntry
from helpers.paths import repo_root
from helpers.runs.matrix import load_matrix
from study.claims import check
from study.claims.ledger import load_claims
from study.verdicts import REPRODUCED
from tests.study.claims.test_paper_b import put, to

TEXT = (repo_root() / "docs" / "extend.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def own_set(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    (tmp_path / "npz").mkdir()
    exec(PYTHON[0], {"data_root": tmp_path})
    return load_dataset("npz:mine")


def test_a_data_set(own_set):
    assert own_set.num_classes == 3 and len(own_set.train) == 60


def test_a_model(monkeypatch):
    names = {"ModelEntry": ModelEntry}
    exec(PYTHON[1], names)
    exec(PYTHON[2], names)
    monkeypatch.setattr(registry, "_REGISTRY", registry._REGISTRY | names["registry_line"])
    model = registry.build_model("tiny", num_classes=5, image_size=32)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert registry.resolve_weights("tiny", "auto") == "none"


def test_a_matrix(own_set, tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "my_runs.yaml").write_text(block)
    runs = load_matrix(str(tmp_path / "my_runs.yaml"))
    assert len(runs) == 6 and len({run.hash() for run in runs}) == 3


def test_a_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHECKS", {})
    (row,) = re.findall(r"```csv\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "claims.csv").write_text(row)
    (claim,) = load_claims(tmp_path / "claims.csv")
    names = {"put": put, "to": to}
    exec(PYTHON[3], names)
    exec(PYTHON[4], names)
    found = check.CHECKS[claim.id]
    assert found(claim).verdict == REPRODUCED
    assert found(claim).evidence == "Printed: 4.50 beside 4.47 G."
    for alter, expected in names["altered"][claim.id]:
        assert found.function(**alter(found.inputs(claim))).verdict == expected != REPRODUCED
