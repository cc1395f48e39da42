# Two commands: `make reproduce` and `make test`. Each sets up .venv first, once.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHON
CORES ?= 2
# A value may be a path of any characters, so the shell takes it from the environment.
PROFILE ?= paper
export PROFILE
# Where runs take place: local, slurm or kubernetes, and how many at once; docs/scale_out.md.
EXECUTOR ?= local
JOBS ?= 100
FLAGS ?=
BIN := .venv/bin
# In a container the only user is often root, whom Jupyter refuses unasked.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# After a kill Snakemake would ask for its folder to be unlocked and its half-made files to be
# named; the run store has locks of its own, and what is half made is made again.
SNAKEMAKE := $(BIN)/python -m snakemake --quiet host progress reason rules \
	--nolock --rerun-incomplete --keep-going --rerun-triggers mtime
WHERE := $(if $(filter local,$(EXECUTOR)),--cores $(CORES),--executor $(EXECUTOR) --jobs $(JOBS))

# Many containers forbid Python to keep compiled code; each of a dozen processes would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

# One instruction set for all processors, slower: params/portable.env says what and why.
ifneq ($(filter 1 true yes on,$(REPRO_PORTABLE)),)
include params/portable.env
export $(shell sed -n 's/^\([A-Z_]*\)=.*/\1/p' params/portable.env)
endif

.PHONY: help setup reproduce test lab report book sweep bench lint

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.complete  ## create .venv with everything in it

# Anew when the requirements change; a half-made environment has no such mark.
.venv/.complete: requirements.txt pyproject.toml
	@"$$PYTHON" -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; call make PYTHON=python3.x"'
	@echo "setting up .venv (about 6 GB; once)"
	@test -x $(BIN)/python || "$$PYTHON" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

reproduce: setup  ## small runs on real images, the study made anew from its predictions, one page
	@REPRO_STAND_IN=phantom $(SNAKEMAKE) --cores $(CORES) --config profile=quick -- quick

# Downloads nothing: what is not at hand is skipped with its reason, or runs on the phantom.
test: export REPRO_OFFLINE := 1
test: export HF_HUB_OFFLINE := 1
test: setup  ## unit tests, then every notebook against its committed output
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m pytest -p no:nbval --numprocesses $(CORES) --dist loadfile
	@$(BIN)/python -m tests.check_notebooks

lab: setup  ## JupyterLab on the notebooks
	@$(BIN)/python -m jupyter lab --notebook-dir notebooks $(ALLOW_ROOT)

report: setup  ## tables, README status and the report page from the stored runs
	@$(BIN)/python -m study tables
	@$(BIN)/python -m study report --profile "$$PROFILE"

book: setup  ## README, docs, tables, claims and executed notebooks as one site: build/book
	@$(BIN)/python -m sphinx --quiet --jobs $(CORES) -b html -c docs . build/book
	@echo "build/book/index.html"

# glibc hands a step's tensors back to the kernel and asks for them anew at the next step. Kept, they
# make training on a CPU a tenth faster; other C libraries and GPUs ignore this.
reproduce sweep bench: export MALLOC_MMAP_THRESHOLD_ := 33554432
reproduce sweep bench: export MALLOC_TRIM_THRESHOLD_ := 8589934592

sweep: setup  ## all runs of params/paper.yaml (PROFILE=... for another), resumed where it stopped
	@$(SNAKEMAKE) $(WHERE) $(FLAGS) --config profile="$$PROFILE" -- runs

bench: setup  ## speed of training, beside the bare step and the usual loop; FLAGS=--save keeps it
	@$(BIN)/python -m benchmarks $(FLAGS)

lint: setup  ## ruff's rules and format, mended in place
	@$(BIN)/python -m ruff check --fix . && $(BIN)/python -m ruff format .
