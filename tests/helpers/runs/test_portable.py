"""One instruction set for all processors: asked for, in force, and its digests compared."""

import json
import os
import subprocess
import sys

import pytest
import torch

from helpers.runs import portable
from helpers.training.seeds import environment, is_portable, portable_settings


def in_a_new_process(code, **environment):
    names = [*portable_settings()]
    plain = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", code], env=plain | environment, capture_output=True, text=True
    )


def test_settings_that_torch_did_not_see_are_refused():
    settings = portable_settings()
    code = (
        "import os, torch; torch.ones(9).exp(); "
        f"os.environ |= {settings}; from helpers.training.seeds import *; is_portable()"
    )
    if torch.backends.cpu.get_cpu_capability() == "AVX512":
        done = in_a_new_process(code)
        assert "but ATEN_CPU_CAPABILITY=avx2" in done.stderr


def test_settings_in_force_are_recorded():
    code = (
        "import torch; from helpers.training.seeds import environment;"
        "env = environment(torch.device('cpu')); print(env['portable'], env['threads'])"
    )
    if not torch.cpu.get_capabilities().get("avx2"):
        pytest.skip("the processor has no AVX2")
    assert in_a_new_process(code, **portable_settings()).stdout.split() == ["True", "1"]


def test_this_process_is_not_portable_by_chance(monkeypatch):
    monkeypatch.delenv("MKL_CBWR", raising=False)
    assert not is_portable()
    assert environment(torch.device("cpu"))["portable"] is False
    refused = r"MKL_CBWR=COMPATIBLE.* was not in force when torch was loaded"
    for asked in ("1", "true"):
        monkeypatch.setenv("REPRO_PORTABLE", asked)
        with pytest.raises(ValueError, match=refused):
            is_portable()
    for name, value in portable_settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    with pytest.raises(ValueError, match=refused):
        is_portable()
    monkeypatch.setenv("REPRO_PORTABLE", "no")
    assert not is_portable()


def test_a_digest_repeats_and_sees_one_bit():
    case = {"steps": 2, "batch_size": 4, "image_size": 32}
    first, seconds = portable.train_case("resnet18", **case)
    assert first == portable.train_case("resnet18", **case)[0]
    assert tuple(first) == portable.STAGES and seconds > 0
    ones = torch.ones(3)
    nearly = ones.clone()
    nearly[1] += 2**-23
    assert portable.digest([ones]) != portable.digest([nearly])


def row(processor, *, weights="a", gradients="a", seconds=2.0):
    found = dict.fromkeys(portable.STAGES, "a") | {"gradients": gradients, "weights": weights}
    env = {"processor": processor, "instruction_set": "avx2", "torch": "2"}

    def mode(digests, seconds):
        return {
            "env": env,
            "digests": dict.fromkeys(portable.MODELS, digests),
            "seconds": dict.fromkeys(portable.MODELS, seconds),
        }

    same = dict.fromkeys(portable.STAGES, "a")
    return {"default": mode(found, 1.0), "portable": mode(same, seconds)}


def test_machines_are_compared_stage_by_stage():
    lines = portable.compare(row("A"), [row("B", gradients="b", weights="c")])
    assert lines[0] == "B, torch 2, default, resnet18: another, from the gradients on"
    assert lines[-1] == "B, torch 2, portable, medspectralnet: the same"
    assert portable.cost(row("A", seconds=3.0)) == dict.fromkeys(portable.MODELS, 3.0)


def test_a_machine_has_one_row(results_tree):
    assert portable.load_rows() == []
    for each in (row("A"), row("B"), row("A", seconds=5.0)):
        portable.save_row(each)
    rows = portable.load_rows()
    assert [portable.machine(r)[0] for r in rows] == ["B", "A"]
    assert rows[1]["portable"]["seconds"]["resnet18"] == 5.0


@pytest.mark.parametrize("text", ["[", "[]", "{}", json.dumps({"schema": 7, "machines": []})])
def test_a_damaged_record_is_named(results_tree, text):
    portable.record_path().parent.mkdir(parents=True)
    portable.record_path().write_text(text)
    with pytest.raises(ValueError, match=r"portable.json.*it is not a record of digests"):
        portable.load_rows()
    assert portable.record_path().read_text() == text
