"""What the hosting site and pre-commit read: valid, and of commands and files that exist."""

import re
import shlex

import pytest
import yaml

from helpers.paths import repo_root

ROOT = repo_root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_runs_commands_that_exist(file):
    content = yaml.safe_load(file.read_text())
    assert content["permissions"]["contents"] == "read"
    for job in content["jobs"].values():
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            for name in re.findall(r"^make (\w+)", step.get("run", "")):
                assert name in targets(), name
            for script in re.findall(r"^bash (\S+)", step.get("run", "")):
                assert (ROOT / script).is_file(), script


def test_the_two_commands_of_the_readme_run_on_a_schedule():
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text())
    assert content[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    commands = re.findall(r"^make (\w+) ", (ROOT / "README.md").read_text(), re.MULTILINE)[:2]
    assert content["jobs"]["command"]["strategy"]["matrix"]["command"] == commands


def test_every_hook_calls_a_tool_of_the_environment():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    pinned = (ROOT / "requirements.txt").read_text()
    for hook in repo["hooks"]:
        python, option, module, *rest = shlex.split(hook["entry"])
        assert (python, option) == (".venv/bin/python", "-m")
        assert re.search(rf"^{module}==", pinned, re.MULTILINE), module
        for word in rest:
            assert not word.endswith(".py") or (ROOT / word).is_file(), word


def test_the_form_for_a_number_asks_what_is_needed_to_look_for_it():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "number.yml").read_text())
    fields = {field["id"]: field for field in form["body"]}
    assert len(fields) == len(form["body"])
    assert all(field["attributes"]["label"] for field in fields.values())
    asked = {name for name, field in fields.items() if field["validations"]["required"]}
    assert asked >= {"number", "expected", "got", "command", "commit"}
