"""What networks cost, measured: `python -m study costs` fills `results/efficiency`.

What is measured stands in `params/efficiency.yaml`; one file a device and number of threads. The
study has phases, which can be made one by one and anew: `sizes` (parameters, MACs), `memory`,
`exports` (which networks export, and how exactly), `accuracy` (of 8-bit integers, on stored runs),
`times`. What is stored is not measured again, so an interrupted study goes on. `times` alone needs
a quiet machine; how much others disturbed it is measured and stored with every group.
"""

import argparse
import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers.data.datasets import load_dataset
from helpers.models.counting import MACS_TOOL, count_macs, count_parameters
from helpers.models.registry import build_model
from helpers.paths import cache_dir
from helpers.runs.experiment import check_data
from helpers.runs.store import Run, list_runs, lock
from helpers.runs.weights import load_model, weights_file
from helpers.terminal import command, count_argument
from helpers.training.inference import as_tensor, predict, prepare
from helpers.training.seeds import environment, git_state
from study.costs import forms as deployment
from study.costs.forms import DeploymentError, Runner
from study.costs.memory import FORWARD, TRAINING, MemoryUnknown, peak_memory
from study.costs.store import PHASES, Store, store_path
from study.costs.timing import fixed_threads, interleave, watch_others
from study.plans.costs import BACKENDS, COMPILED, EAGER, INT8, ONNX, CostPlan, Rounds, load_plan

# Random images that stand for validation images where only times are measured.
_STAND_INS = 8
# And whose statistics the batch norms of untrained networks take.
_SETTLING = 8
_FORMS = {"cpu": BACKENDS, "cuda": (EAGER, COMPILED)}


def about(device: torch.device) -> dict[str, Any]:
    """Return what the numbers of a phase depend on, and when and with which code it began."""
    packages = {}
    for name in ("onnx", "onnxruntime", "timm"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    date = datetime.now(UTC).date().isoformat()
    return {"env": environment(device) | packages, "git": git_state(), "date": date}


# --- networks ------------------------------------------------------------------------------------


def fresh_model(name: str, plan: CostPlan, *, image_size: int) -> nn.Module:
    """Return a network with random weights, always the same, in evaluation mode on the CPU.

    Its last layer is scaled so that the logits are about one, as a trained network's are: what is
    allowed between two forms is absolute, and rounding grows with the logits.
    """
    torch.manual_seed(0)
    model = _untrained(name, plan, image_size)
    images = deployment.random_images(_SETTLING, image_size=image_size, seed=1)
    deployment.settle_batch_norm(model, images)
    with torch.no_grad():
        scale = model(images).abs().max()
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.out_features == plan.num_classes:
                module.weight.div_(scale)
                module.bias.div_(scale)
    return model


def _untrained(name: str, plan: CostPlan, image_size: int) -> nn.Module:
    size = {"num_classes": plan.num_classes, "image_size": image_size}
    return build_model(name, **size, pretrained="none")


def exported(name: str, model: nn.Module, plan: CostPlan, *, image_size: int) -> deployment.Export:
    """Return a network's exported graph from the cache, or export it.

    A cached graph is used only if it still gives the network's own logits; so a change of the
    network's code is never missed. The exporter runs in a process of its own, since it is given a
    limited processor time: a scan becomes a graph of thousands of steps.

    Raises:
        DeploymentError: it does not export, or not in that time; see `deployment.export_onnx`.
    """
    torch_version = torch.__version__.partition("+")[0]
    path = cache_dir() / "onnx" / f"{name}_{image_size}_torch{torch_version}.onnx"
    if path.exists():
        try:
            return deployment.check_export(path, model, image_size=image_size)
        except DeploymentError:
            path.unlink()
    _export_apart(model, path, image_size, plan.export_seconds)
    return deployment.check_export(path, model, image_size=image_size)


def _export_apart(model: nn.Module, path: Path, image_size: int, seconds: int) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["study.costs.memory", "study.costs.forms"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as child:
        try:
            child.submit(_export, model, path, image_size, seconds).result()
        except BrokenProcessPool as error:
            raise DeploymentError(
                f"ONNX export: the exporter was ended after {seconds} s of processor time, or for "
                "want of memory"
            ) from error


def _export(model: nn.Module, path: Path, image_size: int, seconds: int) -> None:
    """Export in this process, which the system ends after so many seconds of processor time."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    limit = int(used) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    torch.set_num_threads(1)
    deployment.export_onnx(model, path, image_size=image_size)


def runner(
    name: str, backend: str, images: Tensor, plan: CostPlan, *, threads: int, folder: Path
) -> Runner:
    """Return a network in one form, for the images on the device that it will be timed on.

    The threads are those of ONNX Runtime, the folder is for graphs with 8-bit integers. A
    `DeploymentError` where the network cannot be brought into this form here.
    """
    image_size = images.shape[-1]
    model = fresh_model(name, plan, image_size=image_size)
    if backend in (EAGER, COMPILED):
        model = model.to(images.device)
        if backend == EAGER:
            return deployment.eager_runner(model)
        return deployment.compiled_runner(model, example=images)
    graph = exported(name, model, plan, image_size=image_size).path
    if backend == INT8:
        # The range of activations has no influence on the time.
        stand_ins = deployment.random_images(_STAND_INS, image_size=image_size).numpy()
        target = folder / f"{name}_{image_size}.onnx"
        if not target.exists():
            deployment.quantise(graph, target, images=stand_ins)
        graph = target
    return deployment.onnx_runner(graph, threads=threads)


# --- phases --------------------------------------------------------------------------------------


def measure_sizes(store: Store, plan: CostPlan) -> None:
    """Count parameters and MACs."""
    for name in store.missing("sizes", plan.models, "model"):
        with torch.device("meta"):
            model = _untrained(name, plan, plan.image_size)
        found = {"model": name, "image_size": plan.image_size, "params": count_parameters(model)}
        macs = count_macs(model, image_size=plan.image_size)
        store.add("sizes", **found, macs=macs, macs_tool=MACS_TOOL)


def measure_memory(store: Store, plan: CostPlan, *, threads: int, device: torch.device) -> None:
    """Measure the peak memory of a forward pass and of a training step."""
    batches = {FORWARD: plan.latency_batch, TRAINING: plan.training_batch}
    shared = {"image_size": plan.image_size, "num_classes": plan.num_classes}
    shared |= {"threads": threads, "device": device.type}
    for step, batch_size in batches.items():
        done = [row["model"] for row in store.rows("memory") if row["step"] == step]
        own = {"step": step, "batch_size": batch_size}
        for name in (n for n in plan.models if n not in done):
            found: dict[str, Any] = {"bytes": None, "reason": None}
            try:
                found["bytes"] = peak_memory(name, **own, **shared)
            except MemoryUnknown as error:
                found["reason"] = str(error)
            store.add("memory", model=name, **own, **found)


def measure_exports(store: Store, plan: CostPlan) -> None:
    """Export every network and compare the graph's logits with the network's own."""
    for name in store.missing("exports", plan.models, "model"):
        print(f"exports: {name}", flush=True)
        row: dict[str, Any] = {"opset": None, "difference": None, "scale": None, "reason": None}
        try:
            model = fresh_model(name, plan, image_size=plan.image_size)
            export = exported(name, model, plan, image_size=plan.image_size)
            row |= {key: getattr(export, key) for key in ("opset", "difference", "scale")}
        except DeploymentError as error:
            row["reason"] = str(error)
        store.add("exports", model=name, image_size=plan.image_size, **row)


class _Form(nn.Module):
    """A runner in the place of a network, for `predict`."""

    def __init__(self, run: Runner) -> None:
        super().__init__()
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images.contiguous())


def judged_runs(plan: CostPlan) -> list[Run]:
    """Return the stored runs of the plan whose weights are on this disk."""
    runs = list_runs()
    asked = [wanted | {"model": model} for wanted in plan.int8_runs for model in plan.main]
    found = [run for match in asked for run in runs if match.items() <= run.config.items()]
    return [run for run in found if weights_file(run)]


def measure_accuracy(store: Store, plan: CostPlan, *, threads: int) -> None:
    """Compare the decisions of 8-bit integers on test images with the eager network's."""
    done = {row["run"] for row in store.rows("accuracy")}
    for run in (run for run in judged_runs(plan) if run.path.name not in done):
        store.add("accuracy", **int8_accuracy(run, plan, threads=threads))


def int8_accuracy(run: Run, plan: CostPlan, *, threads: int) -> dict[str, Any]:
    """Quantise a stored run's network, calibrated on its validation images; score both forms.

    Returns:
        What the run is, and how many test images each form gets right (`eager`, `int8`), how many
        the integers lose and gain.
    """
    splits = load_dataset(run.config["dataset"])
    check_data(run, splits)
    image_size = run.config["image_size"]
    options = {"flip_average": run.config["flip_average"], "form": run.form}
    options["image_size"] = image_size
    model = load_model(run)
    device = torch.device("cpu")
    chosen = np.random.default_rng(0).permutation(len(splits.val.labels))
    chosen = np.sort(chosen[: plan.calibration_images])
    validation = prepare(as_tensor(splits.val, device)[0][chosen], image_size, run.form)
    images, labels = as_tensor(splits.test, device)
    with tempfile.TemporaryDirectory() as folder:
        graph, target = Path(folder) / "run.onnx", Path(folder) / "run_int8.onnx"
        size = {"image_size": image_size, "in_channels": validation.shape[1]}
        export = deployment.export_onnx(model, graph, **size)
        deployment.quantise(graph, target, images=validation.contiguous().numpy())
        integers = _Form(deployment.onnx_runner(target, threads=threads))
        right = {
            form: predict(net, images, **options).argmax(axis=1) == labels.numpy()
            for form, net in ((EAGER, model), (INT8, integers))
        }
    return {
        **{key: run.config[key] for key in ("recipe", "dataset", "model", "pretrained", "seed")},
        "run": run.path.name,
        "image_size": image_size,
        "n": len(labels),
        "calibration_images": len(chosen),
        "export_difference": export.difference,
        EAGER: int(right[EAGER].sum()),
        INT8: int(right[INT8].sum()),
        "lost": int((right[EAGER] & ~right[INT8]).sum()),
        "gained": int((right[INT8] & ~right[EAGER]).sum()),
    }


def time_group(
    store: Store,
    plan: CostPlan,
    *,
    group: str,
    candidates: Iterable[tuple[str, str]],
    image_size: int,
    batch_size: int,
    rounds: Rounds,
    threads: int,
    device: torch.device,
) -> None:
    """Time some networks in some forms, in turns, unless the group is stored already."""
    if group in {row["group"] for row in store.rows("times")}:
        return
    torch.compiler.reset()
    images = deployment.random_images(batch_size, image_size=image_size).to(device)
    calls: dict[str, Callable[[], Tensor]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, backend in candidates:
            try:
                run = runner(*(model, backend, images, plan), threads=threads, folder=Path(folder))
                calls[f"{model} {backend}"] = lambda run=run: run(images)
            except DeploymentError as error:
                failed[f"{model} {backend}"] = str(error)
        settle = 1 if batch_size == plan.latency_batch else 0
        with watch_others() as others:
            times = interleave(calls, **rounds.model_dump(), settle=settle)
    share = None if others.share is None else round(others.share, 3)
    seconds = {name: [float(f"{s:.4g}") for s in t.seconds] for name, t in times.items()}
    place = {"group": group, "image_size": image_size, "batch_size": batch_size}
    store.add("times", **place, others=share, seconds=seconds, failed=failed)


def measure_times(store: Store, plan: CostPlan, *, threads: int, device: torch.device) -> None:
    """Time all groups of the plan."""
    forms = _FORMS[device.type]
    exportable = {row["model"] for row in store.rows("exports") if row["reason"] is None}
    everything = [(model, form) for model in plan.main for form in forms]

    def timed(group: str, kind: str, candidates: Sequence[tuple[str, str]], **place: int) -> None:
        print(f"times: {group}", flush=True)
        options = {"rounds": plan.rounds[kind], "threads": threads, "device": device} | place
        time_group(store, plan, group=group, candidates=candidates, **options)

    timed("main latency", "main_latency", everything, **plan.latency)
    timed("main throughput", "main_throughput", everything, **plan.throughput)
    timed("small latency", "small_latency", everything, **plan.small_latency)
    for start in range(0, len(plan.others), plan.others_per_group):
        models = plan.others[start : start + plan.others_per_group]
        eager = [(model, EAGER) for model in (plan.reference, *models)]
        graphs = [(m, ONNX) for m in models if m in exportable and ONNX in forms]
        name = f"others {start // plan.others_per_group + 1}"
        timed(f"{name} latency", "others_latency", eager + graphs, **plan.latency)
        timed(f"{name} throughput", "others_throughput", eager, **plan.throughput)
    pair = [(model, EAGER) for model in plan.claimed]
    timed("claimed latency", "claimed_latency", pair, **plan.latency)
    timed("claimed throughput", "claimed_throughput", pair, **plan.throughput)


# --- the command line ----------------------------------------------------------------------------


def run_study(
    plan: CostPlan,
    *,
    phases: Sequence[str] = PHASES,
    anew: Sequence[str] = (),
    threads: int | None = None,
    device: torch.device | None = None,
) -> Path:
    """Measure what is missing in the store of a device; return the file.

    The phases `anew` are forgotten first; the threads are the plan's unless others are given.

    Raises:
        EfficiencyError: stored measurements of a phase were made elsewhere or with other versions.
        ValueError: more threads than processors.
    """
    threads, device = threads or plan.threads, device or torch.device("cpu")
    path, place = store_path(device.type, threads), {"threads": threads, "device": device}
    with lock(path.parent), fixed_threads(threads):
        store = Store.open(path, about=about(device), anew=anew)
        works = {
            "sizes": lambda: measure_sizes(store, plan),
            "memory": lambda: measure_memory(store, plan, **place),
            "exports": lambda: measure_exports(store, plan),
            "accuracy": lambda: measure_accuracy(store, plan, threads=threads),
            "times": lambda: measure_times(store, plan, **place),
        }
        for phase in phases:
            print(phase, flush=True)
            works[phase]()
    return path


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    about_it = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m study costs", description=about_it)
    named = {"choices": PHASES, "metavar": "PHASE"}
    parser.add_argument("--only", nargs="+", default=PHASES, **named)
    help_text = f"measure these phases again, or all; known: {', '.join(PHASES)}"
    parser.add_argument("--anew", nargs="*", help=help_text, **named)
    parser.add_argument("--threads", type=count_argument, help="instead of those of the plan")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here.")
    # `--anew` without a name means all that is asked for.
    anew = options.only if options.anew == [] else options.anew or ()
    place = {"threads": options.threads, "device": torch.device(options.device)}
    path = run_study(load_plan(), phases=options.only, anew=anew, **place)
    print(f"{path.name} is complete for: {', '.join(options.only)}")
