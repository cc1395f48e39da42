"""The matrix of runs as a DAG of papermill calls: `make reproduce`, `make sweep PROFILE=...`.

One run is one call of 04_train and one folder of the run store. A run is done where its record is
stored, so a sweep goes on where it stopped. The store is no output of a rule, since Snakemake
deletes outputs: of a job that failed, and of one that it starts again. The output is a mark in the
sweep's own folder, and each sweep has a new one, so that no mark outlives what it stands for.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from datetime import datetime
from logging import INFO

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

from helpers.config import TRAIN_PARAMETERS
from helpers.paths import repo_root, results_root
from helpers.runs import matrix
from helpers.runs.progress import begin_sweep, duration, list_unfinished
from helpers.runs.store import is_stored, run_dir

BEGAN = time.monotonic()
SWEEP = f"{datetime.now():%Y%m%d_%H%M%S}_{socket.gethostname()}_{os.getpid()}"
# The interpreter of this process, whatever is on PATH; seaborn and papermill talk too much.
PYTHON = shlex.quote(sys.executable)
PAPERMILL = f"{PYTHON} -m papermill --no-progress-bar"
# No option silences "Execute 1 jobs..." and "Select jobs to execute..."; what a run reached is said
# when it ends. A dry run has nothing else to say.
CHATTER = (None, LogEvent.JOB_STARTED)


def is_worth_saying(record):
    """Say whether a message of Snakemake's is shown; that nothing is to be done, in our words."""
    if record.levelno > INFO or getattr(record, "event", None) not in CHATTER:
        return True
    if record.getMessage().startswith("Nothing to be done"):
        print(last_line())  # no handler is called then
    return False


if not {"-n", "--dry-run", "--dryrun"} & set(sys.argv):
    logger.addFilter(is_worth_saying)
# A kernel talks much; its words are shown only where it fails.
LOGGED = "> {log:q} 2>&1 || {{ tail -n 40 {log:q} >&2; exit 1; }}"


def stand_in(dataset):
    """Return the data set that a run will see, asked of a process of its own.

    It needs torch, and here that would hold a gigabyte as long as the runs last.
    """
    code = "import sys; from helpers.data.datasets import stand_in; print(stand_in(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, dataset], stdout=subprocess.PIPE, text=True, check=True
    )
    *said, found = done.stdout.splitlines()
    print(*said, sep="\n", end="\n" if said else "", flush=True)
    return found


def planned_runs():
    """Return the configurations of the matrix, on a stand-in only where that was asked for."""
    name = str(config.get("profile", "paper") or "")  # "profile=" is None
    planned = matrix.load_matrix(name)
    if not os.environ.get("REPRO_STAND_IN"):
        return planned
    found = {dataset: stand_in(dataset) for dataset in {run.dataset: None for run in planned}}
    # What learns real images need not learn synthetic ones: a matrix may have a twin for them.
    if "phantom" in found.values() and (repo_root() / "params" / f"{name}_phantom.yaml").is_file():
        return matrix.load_matrix(f"{name}_phantom")
    return matrix.load_matrix(name, rename=found.get)


PLANNED = planned_runs()
# The first run of the matrix is the one whose evaluation is shown.
SHOWN = PLANNED[0]
PROFILE = SHOWN.profile
ROOT = results_root(PROFILE)
STORE = ROOT / "runs"
EXECUTED = ROOT / "executed"
SWEEPS = EXECUTED / "sweeps"
RUNS = {str(run_dir(run).relative_to(STORE)): run for run in PLANNED}
# What this sweep has to do. A record that cannot be read is among it: its run fails and says why.
MISSING = {name for name, run in RUNS.items() if not is_stored(run)}


def proof(name):
    """Return the file that says that a run is done: its record, or else this sweep's mark."""
    if name in MISSING:
        return SWEEPS / SWEEP / f"{name}.done"
    return local(str(STORE / name / "run.json"))


RECORDS = [proof(name) for name in RUNS]
SHOWN_NOTEBOOKS = ["01_data", "02_models", "03_losses_and_plasticity"]
ABOUT_ONE_RUN = ["05_evaluate", "06_gradcam", "11_predict"]
# These compare the runs of the paper profile; quick runs never stand among them.
COMPARISONS = ["07_paper_a", "08_paper_b", "09_efficiency", "10_claims"]
ABOUT_ALL = COMPARISONS if PROFILE == "paper" else []
NOTEBOOKS = [EXECUTED / f"{name}.ipynb" for name in SHOWN_NOTEBOOKS + ABOUT_ONE_RUN + ABOUT_ALL]


# Beside small runs, the study's own results are made anew.
CHECKED = [ROOT / "study.json"] if PROFILE == "quick" else []
PAGE = ROOT / "report" / "index.html"


def parameters_of(config, names):
    """Return papermill's option for some values of a configuration, quoted for the shell."""
    return "--parameters_yaml " + shlex.quote(matrix.papermill_yaml(config, names=names))


onstart:
    begin_sweep(MISSING, folder=SWEEPS / SWEEP)
    if MISSING:
        print(f"{len(MISSING)} of {len(RUNS)} runs to train; a line each when it ends", flush=True)


def last_line():
    """Return what a sweep ends with where all went well."""
    made = f"{len(MISSING)} trained now" if MISSING else "none was missing"
    words = f"Done in {duration(time.monotonic() - BEGAN)}: all {len(RUNS)} runs are stored, {made}"
    if "quick" in sys.argv:
        for found in [json.loads(file.read_text()) for file in CHECKED]:
            n, others = len(found["equal"]), len(found["different"])
            words += f"; study: {n} of {n + others} tables, pages and figures equal"
        words += f". Open {PAGE}"
    return words


onsuccess:
    print(last_line())


onerror:
    print(list_unfinished(sorted(MISSING), folder=SWEEPS / SWEEP), file=sys.stderr, end="")


localrules: runs, quick


rule runs:
    input: RECORDS


rule quick:
    input: RECORDS, PAGE


rule train:
    # All nodes share the results tree. Where they do not share the files of Snakemake's jobs
    # (Kubernetes), `local` keeps the log in the tree, and the output is a copy of the mark there.
    output: SWEEPS / "{sweep}" / "{run}.done"
    log: local(str(SWEEPS / "{sweep}" / "{run}.log"))
    params:
        mark=lambda w: SWEEPS / w.sweep / f"{w.run}.done",
        options=lambda w: parameters_of(RUNS[w.run], TRAIN_PARAMETERS),
        notebook=lambda w: SWEEPS / w.sweep / f"{w.run}.ipynb",
        shown=lambda w: EXECUTED / f"04_train__{w.run.replace('/', '__')}.ipynb",
        stored=lambda w: STORE / w.run,
        sweep=lambda w: SWEEPS / w.sweep,
    wildcard_constraints: sweep="[^/]+", run=".+"
    threads: 1
    # Before the notebooks, which are short: the last job is one that no other waits for long.
    priority: 1
    resources: mem_mb=4000, runtime=240
    # A failure is told at the end of the sweep, with the reason. Two sweeps at once may come by the
    # same run: the second waits for the lock of its folder and loads what the first has stored.
    shell:
        "OMP_NUM_THREADS={threads} {PAPERMILL} notebooks/04_train.ipynb {params.notebook:q}"
        " {params.options} > {log:q} 2>&1 && mv {params.notebook:q} {params.shown:q}"
        " && {PYTHON} -m helpers.runs.progress {params.stored:q} {params.sweep:q} && touch {params.mark:q} {output:q}"


rule show_data:
    output: EXECUTED / "01_data.ipynb"
    log: EXECUTED / "logs" / "01_data.log"
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/01_data.ipynb {output:q} -p dataset {SHOWN.dataset:q} " + LOGGED


rule show_models:
    output: EXECUTED / "02_models.ipynb"
    log: EXECUTED / "logs" / "02_models.log"
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/02_models.ipynb {output:q} " + LOGGED


rule show_losses:
    output: EXECUTED / "03_losses_and_plasticity.ipynb"
    log: EXECUTED / "logs" / "03_losses_and_plasticity.log"
    resources: mem_mb=1800
    shell:
        "{PAPERMILL} notebooks/03_losses_and_plasticity.ipynb {output:q} -p dataset {SHOWN.dataset:q} "
        + LOGGED


rule show_comparisons:
    input: RECORDS
    output: EXECUTED / "{name}.ipynb"
    log: EXECUTED / "logs" / "{name}.log"
    wildcard_constraints: name="|".join(COMPARISONS)
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/{wildcards.name}.ipynb {output:q} " + LOGGED


rule show_run:
    input: proof(str(run_dir(SHOWN).relative_to(STORE)))
    output: EXECUTED / "{name}.ipynb"
    log: EXECUTED / "logs" / "{name}.log"
    params: options=parameters_of(SHOWN, matrix.RUN_KEYS)
    wildcard_constraints: name="|".join(ABOUT_ONE_RUN)
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/{wildcards.name}.ipynb {output:q} {params.options} " + LOGGED


rule check_study:
    # That something differs is told by the page; it stops nothing. Anew when a table changes.
    input: sorted((repo_root() / "results" / "tables").glob("*"))
    output: ROOT / "study.json"
    log: EXECUTED / "logs" / "check.log"
    resources: mem_mb=1800
    priority: 2  # the longest single job
    shell:
        "env -u REPRO_RESULTS REPRO_OFFLINE=1 {PYTHON} -m study check {output:q} > {log:q} 2>&1"
        " || test -s {output:q} || {{ tail -n 40 {log:q} >&2; exit 1; }}; tail -n 1 {log:q}"


rule report:
    input: RECORDS, NOTEBOOKS, CHECKED
    output: PAGE
    log: EXECUTED / "logs" / "report.log"
    shell: "{PYTHON} -m study report --profile {PROFILE:q} " + LOGGED
