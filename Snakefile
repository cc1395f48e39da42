"""The matrix of runs as a DAG of papermill calls: `make reproduce`, `make sweep PROFILE=...`.

One run is one call of 04_train and one folder of the run store. Where `run.json` exists the run is
done, so a sweep goes on where it stopped.
"""

import os
import shlex
import sys

from helpers import matrix
from helpers.config import TRAIN_PARAMETERS
from helpers.paths import results_root
from helpers.results import run_dir

PROFILE = config.get("profile", "paper")
ROOT = results_root(PROFILE)
EXECUTED = ROOT / "executed"
# The interpreter of this process, whatever is on PATH; seaborn and papermill talk too much.
PAPERMILL = f"{sys.executable} -m papermill --no-progress-bar"
# A kernel talks much; its words are shown only where it fails.
LOGGED = "> {log} 2>&1 || {{ tail -n 40 {log} >&2; exit 1; }}"


def planned_runs():
    """Return the configurations of the profile, on a stand-in only where that was asked for."""
    if not os.environ.get("REPRO_STAND_IN"):
        return matrix.load_matrix(PROFILE)
    from helpers.data.datasets import stand_in  # slow to import, so only here

    return matrix.load_matrix(PROFILE, rename=stand_in)


RUNS = {str(run_dir(run)): run for run in planned_runs()}
RECORDS = [f"{folder}/run.json" for folder in RUNS]
# The first run of the matrix is the one whose evaluation is shown.
SHOWN = next(iter(RUNS.values()))
SHOWN_NOTEBOOKS = ["01_data", "02_models", "03_losses_and_plasticity"]
ABOUT_ONE_RUN = ["05_evaluate", "06_gradcam", "11_predict"]
# These two compare the runs of the paper profile; quick runs never stand among them.
COMPARISONS = ["07_ablations", "08_compare"] if PROFILE == "paper" else []
NOTEBOOKS = [EXECUTED / f"{name}.ipynb" for name in SHOWN_NOTEBOOKS + ABOUT_ONE_RUN + COMPARISONS]


def parameters_of(config, names):
    """Return papermill's option for some values of a configuration, quoted for the shell."""
    return "--parameters_yaml " + shlex.quote(matrix.papermill_yaml(config, names=names))


localrules: runs, quick


rule runs:
    input: RECORDS


rule quick:
    input: RECORDS, ROOT / "report" / "index.html"


rule train:
    output: ROOT / "runs" / "{run}" / "run.json"
    log: EXECUTED / "logs" / "{run}.log"
    params:
        options=lambda w: parameters_of(RUNS[str(ROOT / "runs" / w.run)], TRAIN_PARAMETERS),
        notebook=lambda w: EXECUTED / f"04_train__{w.run.replace('/', '__')}.ipynb",
    wildcard_constraints: run=".+"
    threads: 1
    resources: mem_mb=1800
    shell:
        "OMP_NUM_THREADS={threads} {PAPERMILL} notebooks/04_train.ipynb {params.notebook}"
        " {params.options} " + LOGGED + "; {sys.executable} -m helpers.progress {output}"


rule show_data:
    output: EXECUTED / "01_data.ipynb"
    log: EXECUTED / "logs" / "01_data.log"
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/01_data.ipynb {output} -p dataset {SHOWN.dataset} " + LOGGED


rule show_models:
    output: EXECUTED / "02_models.ipynb"
    log: EXECUTED / "logs" / "02_models.log"
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/02_models.ipynb {output} " + LOGGED


rule show_losses:
    output: EXECUTED / "03_losses_and_plasticity.ipynb"
    log: EXECUTED / "logs" / "03_losses_and_plasticity.log"
    resources: mem_mb=1800
    shell:
        "{PAPERMILL} notebooks/03_losses_and_plasticity.ipynb {output} -p dataset {SHOWN.dataset} "
        + LOGGED


rule show_comparisons:
    input: RECORDS
    output: EXECUTED / "{name}.ipynb"
    log: EXECUTED / "logs" / "{name}.log"
    wildcard_constraints: name="07_ablations|08_compare"
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/{wildcards.name}.ipynb {output} " + LOGGED


rule show_run:
    input: f"{run_dir(SHOWN)}/run.json"
    output: EXECUTED / "{name}.ipynb"
    log: EXECUTED / "logs" / "{name}.log"
    params: options=parameters_of(SHOWN, matrix.RUN_KEYS)
    wildcard_constraints: name="|".join(ABOUT_ONE_RUN)
    resources: mem_mb=1800
    shell: "{PAPERMILL} notebooks/{wildcards.name}.ipynb {output} {params.options} " + LOGGED


rule report:
    input: RECORDS, NOTEBOOKS
    output: ROOT / "report" / "index.html"
    shell: "{sys.executable} -m helpers.report --profile {PROFILE}"
