"""A sweep as users start it: a run that fails, a kill in the middle, and the same command again."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from helpers.config import make_config
from helpers.paths import repo_root
from helpers.runs.progress import (
    PLANNED,
    begin_sweep,
    duration,
    failure_reason,
    list_unfinished,
    place_in_sweep,
)
from helpers.runs.store import is_stored, run_dir

ROW = {
    "recipe": "quick",
    "dataset": "phantom",
    "model": "mobilenet_v2",
    "pretrained": "none",
    "image_size": 28,
    "epochs": 1,
    "n_train": 32,
}
GOOD, OLD = 0, 1  # seeds: a run that trains, and one that an older version has stored
OLD_RECORD = '{"schema": 0}'
# Unquoted in a shell line, this is several words, a redirection and two commands.
HARD = 'hard & it\'s $HOME; "x" > hard `id` (a)'


def sweep(matrix: Path) -> subprocess.Popen:
    """`make sweep` with this interpreter, in a group of processes of its own."""
    command = ["make", "--old-file=setup", "sweep", f"BIN={Path(sys.executable).parent}"]
    return subprocess.Popen(
        [*command, f"PROFILE={matrix}", "CORES=1"],
        cwd=repo_root(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL make, Snakemake, papermill and the kernel, as a power cut would."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        member.kill()
    psutil.wait_procs(family, timeout=30)
    process.communicate()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep killed in training and started again, on a matrix that has grown by an old run."""
    folder = tmp_path_factory.mktemp("sweep")
    tree = folder / HARD / "results"
    (folder / "hard").write_text("not ours")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(tree))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("REPRO_STAND_IN", raising=False)
        runs = [make_config(**ROW, seed=seed, profile="quick") for seed in (GOOD, OLD)]
        matrix = folder / "tiny.yaml"
        matrix.write_text(json.dumps({"profile": "quick", "rows": [ROW | {"seed": GOOD}]}))

        first, deadline = sweep(matrix), time.monotonic() + 1800
        lock = run_dir(runs[GOOD]) / "run.lock"
        while not lock.exists() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        killed_while_running = first.poll() is None
        kill_all(first)
        left = {path.name for path in lock.parent.iterdir()}

        run_dir(runs[OLD]).mkdir(parents=True)
        (run_dir(runs[OLD]) / "run.json").write_text(OLD_RECORD)
        matrix.write_text(json.dumps({"profile": "quick", "rows": [ROW | {"seed": [GOOD, OLD]}]}))
        second = sweep(matrix)
        output, _ = second.communicate(timeout=3600)
        yield {
            "runs": runs,
            "killed": killed_while_running,
            "left": left,
            "status": second.returncode,
            "output": output,
            "beside": sorted(path.name for path in folder.iterdir()),
            "not_ours": (folder / "hard").read_text(),
        }


def test_a_killed_run_is_not_taken_for_done_and_its_lock_hinders_nobody(swept):
    assert swept["killed"]
    assert "run.lock" in swept["left"]
    assert "run.json" not in swept["left"]
    assert is_stored(swept["runs"][GOOD]), swept["output"]


def test_a_failed_run_stops_no_other_and_is_listed_with_its_reason(swept):
    folder = run_dir(swept["runs"][OLD])
    name = "/".join(folder.parts[-4:])
    assert swept["status"] != 0 and "not done" in swept["output"], swept["output"]
    listed = swept["output"].split("of 2 runs of this sweep, 1 not done:\n")[1].splitlines()
    assert listed[0].startswith(f"  {name}: RunError: ")
    assert "has schema 0, this version reads" in listed[0]
    log = Path(listed[1].removeprefix("    log: "))
    assert "RunError" in log.read_text()


def test_the_run_that_ended_well_is_reported_and_shown(swept):
    said = "[1 of 2] PHANTOM phantom mobilenet_v2 none seed 0: test accuracy"
    assert said in swept["output"]
    assert "Execute" not in swept["output"] and "rule" not in swept["output"]
    assert "Select" not in swept["output"] and "DAG" not in swept["output"]
    folder = run_dir(swept["runs"][GOOD])
    name = "__".join(("04_train", *folder.parts[-4:]))
    assert (folder.parents[4] / "executed" / f"{name}.ipynb").exists()


def test_a_store_of_an_older_schema_is_left_as_it_was(swept):
    """Snakemake deletes the outputs of a failed job; a record is none."""
    folder = run_dir(swept["runs"][OLD])
    assert (folder / "run.json").read_text() == OLD_RECORD
    assert {path.name for path in folder.iterdir()} == {"run.json"}


def test_nothing_is_written_beside_a_path_of_hard_characters(swept):
    assert swept["beside"] == sorted(["hard", HARD, "tiny.yaml"])
    assert swept["not_ours"] == "not ours"


NOTEBOOK_FAILED = """\
Executing notebook with kernel: python3
Traceback (most recent call last):
  File "runpy.py", line 198, in _run_module_as_main
papermill.exceptions.PapermillExecutionError: 
---------------------------------------------------------------------------
Exception encountered at "In [4]":
\x1b[31mDatasetUnavailable\x1b[39m                    Traceback (most recent call last)
Cell \x1b[32mIn[4]\x1b[39m, line 1
----> 1 splits = load_dataset(config.dataset)

\x1b[31mDatasetUnavailable\x1b[39m: no image folder 'x'.
Note that this line is part of the message.

"""
KERNEL_DIED = """\
Executing notebook with kernel: python3
Traceback (most recent call last):
  File "nbclient/client.py", line 1, in async_execute_cell
nbclient.exceptions.DeadKernelError: Kernel died
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (NOTEBOOK_FAILED, "DatasetUnavailable: no image folder 'x'."),
        (KERNEL_DIED, "nbclient.exceptions.DeadKernelError: Kernel died"),
        ("Executing notebook with kernel: python3\n", "killed, or out of time or memory"),
        ("", "failed before the notebook started"),
    ],
)
def test_the_reason_is_the_last_exception_of_the_log(log, reason, tmp_path):
    file = tmp_path / "run.log"
    file.write_text(log)
    assert reason in failure_reason(file)
    assert "\x1b" not in failure_reason(file)


def test_what_was_not_started_is_counted_and_what_ended_well_left_out(tmp_path):
    (tmp_path / "a.done").touch()
    (tmp_path / "a.log").write_text("fine")
    (tmp_path / "b.log").write_text(KERNEL_DIED)
    lines = list_unfinished(["a", "b", "c", "d"], folder=tmp_path).splitlines()
    assert lines[0] == "of 4 runs of this sweep, 3 not done:"
    assert lines[1].startswith("  b: nbclient.exceptions.DeadKernelError")
    assert lines[2] == f"    log: {tmp_path / 'b.log'}"
    assert lines[3] == "  2 not started"
    assert list_unfinished(["a"], folder=tmp_path) == ""


def test_each_run_says_its_place_and_the_time_left(tmp_path):
    assert place_in_sweep(tmp_path) == ("", "")
    begin_sweep(["c/x", "a", "b", "d"], folder=tmp_path)
    began, *runs = (tmp_path / PLANNED).read_text().splitlines()
    assert runs == ["a", "b", "c/x", "d"]
    (tmp_path / PLANNED).write_text("\n".join([f"{float(began) - 240}", *runs]))
    assert place_in_sweep(tmp_path) == ("[1 of 4] ", "; about 12 min of training left")
    (tmp_path / "a.done").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.done").touch()
    before, after = place_in_sweep(tmp_path)
    assert before == "[3 of 4] " and re.fullmatch(r"; about (79|80|81) s of training left", after)
    for begun in ("a", "c/x", "d", "b"):  # one of the two is the one that ends now
        (tmp_path / f"{begun}.log").touch()
    before, after = place_in_sweep(tmp_path)
    assert before == "[3 of 4] " and re.fullmatch(r"; about (34|35) s of training left", after)
    (tmp_path / "b.done").touch()
    assert place_in_sweep(tmp_path) == ("[4 of 4] ", "")
    assert (duration(245.3), duration(59)) == ("4 min 05 s", "59 s")


def test_every_command_of_a_sweep_quotes_its_paths(tmp_path, monkeypatch):
    """The repository itself under a path of hard characters; each shell line is taken apart."""
    root = tmp_path / HARD / "repository"
    ignored = shutil.ignore_patterns("results", ".git", ".venv", "__pycache__", ".snakemake")
    shutil.copytree(repo_root(), root, ignore=ignored)
    (root / "results").mkdir()
    row = ROW | {"seed": 0, "dataset": "folder:my set; $x"}
    (tmp_path / "one.yaml").write_text(json.dumps({"profile": "quick", "rows": [row]}))
    data = tmp_path / HARD / "data"
    (data / "folders" / "my set; $x" / "a").mkdir(parents=True)
    monkeypatch.delenv("REPRO_RESULTS", raising=False)
    monkeypatch.setenv("REPRO_DATA", str(data))
    monkeypatch.setenv("PYTHONPATH", str(root))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--cores", "1"]
        + ["--config", f"profile={tmp_path / 'one.yaml'}", "--", "quick"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    commands = [line for line in done.stdout.splitlines() if "-m papermill" in line]
    assert len(commands) >= 5
    for command in commands:
        lexer = shlex.shlex(command.strip(), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        assert "id" not in words and str(Path.home()) not in command
        redirected = words[words.index(">") + 1]
        assert redirected.startswith(str(root / "results"))
        if "dataset" in words:
            assert words[words.index("dataset") + 1] == "cag:my set; $x"
