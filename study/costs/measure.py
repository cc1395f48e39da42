"""What networks cost, measured: `python -m study costs` fills `results/efficiency`.

What is measured stands in `params/efficiency.yaml`; one file a device and number of threads. The
study has phases, which can be made one by one and anew: `sizes` (parameters, MACs), `memory`,
`exports` (which networks export, and how exactly), `accuracy` (of 8-bit integers, on stored runs),
`times`. What is stored is not measured again, so an interrupted study goes on. `times` alone needs
a quiet machine; how much others disturbed it is measured and stored with every group.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helpers.models.counting import MACS_TOOL, count_macs, count_parameters
from helpers.models.registry import build_model
from helpers.paths import cache_dir
from helpers.runs.store import lock
from helpers.terminal import command, count_argument
from helpers.training.seeds import environment, git_state
from study.costs import forms as deployment
from study.costs.forms import DeploymentError, Runner
from study.costs.integers import measure_accuracy
from study.costs.memory import FORWARD, TRAINING, MemoryUnknown, peak_memory, run_apart
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
    packages = dict.fromkeys(("onnx", "onnxruntime", "timm"))
    for name in packages:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    date = datetime.now(UTC).date().isoformat()
    return {"env": environment(device) | packages, "git": git_state(), "date": date}


# --- networks ------------------------------------------------------------------------------------


def fresh_model(name: str, plan: CostPlan, *, image_size: int) -> nn.Module:
    """Return a network with random weights, always the same, in evaluation mode on the CPU.

    Its last layer is scaled so that the logits are about one, as a trained network's are: what is
    allowed between two forms is absolute, and rounding grows with the logits.
    """
    torch.manual_seed(0)
    model = _untrained(name, plan, image_size=image_size)
    images = deployment.random_images(_SETTLING, image_size=image_size, seed=1)
    deployment.settle_batch_norm(model, images)
    with torch.no_grad():
        scale = model(images).abs().max()
        for module in model.modules():
            if isinstance(module, nn.Linear) and module.out_features == plan.num_classes:
                module.weight.div_(scale)
                module.bias.div_(scale)
    return model


def _untrained(name: str, plan: CostPlan, *, image_size: int) -> nn.Module:
    return build_model(name, num_classes=plan.num_classes, image_size=image_size, pretrained="none")


def exported(name: str, model: nn.Module, plan: CostPlan, *, image_size: int) -> deployment.Export:
    """Return a network's exported graph from the cache, or export it.

    A cached graph is used only if it still gives the network's own logits; so a change of the
    network's code is never missed. The exporter runs in a process of its own, since it is given a
    limited processor time (a scan becomes a graph of thousands of steps), after which it fails.
    """
    torch_version = torch.__version__.partition("+")[0]
    path = cache_dir() / "onnx" / f"{name}_{image_size}_torch{torch_version}.onnx"
    if path.exists():
        try:
            return deployment.check_export(path, model, image_size=image_size)
        except DeploymentError:
            path.unlink()
    seconds = plan.export_seconds
    ended = DeploymentError(
        f"ONNX export: the exporter was ended after {seconds} s of processor time, or for want of "
        "memory"
    )
    run_apart(_export, model, path, image_size, seconds, ended=ended)
    return deployment.check_export(path, model, image_size=image_size)


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
    if backend == EAGER:
        return deployment.eager_runner(model.to(images.device))
    if backend == COMPILED:
        return deployment.compiled_runner(model.to(images.device), example=images)
    graph = exported(name, model, plan, image_size=image_size).path
    if backend == INT8:
        # The range of activations has no influence on the time.
        stand_ins = deployment.random_images(_STAND_INS, image_size=image_size).numpy()
        graph = deployment.quantise(graph, folder / f"{name}.onnx", images=stand_ins)
    return deployment.onnx_runner(graph, threads=threads)


# --- phases --------------------------------------------------------------------------------------


def measure_sizes(store: Store, plan: CostPlan) -> None:
    """Count parameters and MACs."""
    for name in store.missing("sizes", plan.models):
        with torch.device("meta"):
            model = _untrained(name, plan, image_size=plan.image_size)
        store.add(
            "sizes",
            model=name,
            image_size=plan.image_size,
            params=count_parameters(model),
            macs=count_macs(model, image_size=plan.image_size),
            macs_tool=MACS_TOOL,
        )


def measure_memory(store: Store, plan: CostPlan, *, threads: int, device: torch.device) -> None:
    """Measure the peak memory of a forward pass and of a training step."""
    for step, batch_size in ((FORWARD, plan.latency_batch), (TRAINING, plan.training_batch)):
        for name in store.missing("memory", plan.models, step=step):
            peak, reason = None, None
            try:
                peak = peak_memory(
                    name,
                    image_size=plan.image_size,
                    batch_size=batch_size,
                    step=step,
                    threads=threads,
                    device=device.type,
                    num_classes=plan.num_classes,
                )
            except MemoryUnknown as error:
                reason = str(error)
            row = {"model": name, "step": step, "batch_size": batch_size}
            store.add("memory", **row, bytes=peak, reason=reason)


def measure_exports(store: Store, plan: CostPlan) -> None:
    """Export every network and compare the graph's logits with the network's own."""
    for name in store.missing("exports", plan.models):
        print(f"exports: {name}", flush=True)
        export, reason = None, None
        try:
            model = fresh_model(name, plan, image_size=plan.image_size)
            export = exported(name, model, plan, image_size=plan.image_size)
        except DeploymentError as error:
            reason = str(error)
        store.add(
            "exports",
            model=name,
            image_size=plan.image_size,
            opset=export and export.opset,
            difference=export and export.difference,
            scale=export and export.scale,
            reason=reason,
        )


def time_group(
    store: Store,
    plan: CostPlan,
    *,
    group: str,
    candidates: Iterable[tuple[str, str]],
    place: dict[str, int],
    rounds: Rounds,
    threads: int,
    device: torch.device,
) -> None:
    """Time some networks in some forms, in turns, unless the group is stored already.

    The place says of how many images and of which size.
    """
    if store.row("times", group=group):
        return
    torch.compiler.reset()
    images = deployment.random_images(place["batch_size"], image_size=place["image_size"])
    images = images.to(device)
    calls: dict[str, Callable[[], Tensor]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for model, backend in candidates:
            try:
                run = runner(model, backend, images, plan, threads=threads, folder=Path(folder))
                calls[f"{model} {backend}"] = lambda run=run: run(images)
            except DeploymentError as error:
                failed[f"{model} {backend}"] = str(error)
        settle = 1 if len(images) == plan.latency_batch else 0
        with watch_others() as others:
            times = interleave(calls, rounds=rounds.rounds, budget=rounds.budget, settle=settle)
    store.add(
        "times",
        group=group,
        **place,
        others=None if others.share is None else round(others.share, 3),
        seconds={name: [float(f"{s:.4g}") for s in t.seconds] for name, t in times.items()},
        failed=failed,
    )


def measure_times(store: Store, plan: CostPlan, *, threads: int, device: torch.device) -> None:
    """Time all groups of the plan."""
    forms = _FORMS[device.type]
    exportable = {row["model"] for row in store.rows("exports") if row["reason"] is None}
    everything = [(model, form) for model in plan.main for form in forms]
    groups = [
        ("main latency", everything, plan.latency),
        ("main throughput", everything, plan.throughput),
        ("small latency", everything, plan.small_latency),
    ]
    starts = range(0, len(plan.others), plan.others_per_group)
    for number, start in enumerate(starts, start=1):
        models = plan.others[start : start + plan.others_per_group]
        eager = [(model, EAGER) for model in (plan.reference, *models)]
        graphs = [(m, ONNX) for m in models if m in exportable and ONNX in forms]
        groups.append((f"others {number} latency", eager + graphs, plan.latency))
        groups.append((f"others {number} throughput", eager, plan.throughput))
    pair = [(model, EAGER) for model in plan.claimed]
    groups.append(("claimed latency", pair, plan.latency))
    groups.append(("claimed throughput", pair, plan.throughput))
    for group, candidates, place in groups:
        print(f"times: {group}", flush=True)
        name, *_, kind = group.split()
        time_group(
            store,
            plan,
            group=group,
            candidates=candidates,
            place=place,
            rounds=plan.rounds[f"{name}_{kind}"],
            threads=threads,
            device=device,
        )


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
    path = store_path(device.type, threads)
    with lock(path.parent), fixed_threads(threads):
        store = Store.open(path, about=about(device), anew=anew)
        works = {
            "sizes": lambda: measure_sizes(store, plan),
            "memory": lambda: measure_memory(store, plan, threads=threads, device=device),
            "exports": lambda: measure_exports(store, plan),
            "accuracy": lambda: measure_accuracy(store, plan, threads=threads),
            "times": lambda: measure_times(store, plan, threads=threads, device=device),
        }
        for phase in phases:
            print(phase, flush=True)
            works[phase]()
    return path


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    first_line = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m study costs", description=first_line)
    parser.add_argument("--only", nargs="+", default=PHASES, choices=PHASES, metavar="PHASE")
    again = f"measure these phases again, or all; known: {', '.join(PHASES)}"
    parser.add_argument("--anew", nargs="*", choices=PHASES, metavar="PHASE", help=again)
    parser.add_argument("--threads", type=count_argument, help="instead of those of the plan")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here.")
    # `--anew` without a name means all that is asked for.
    path = run_study(
        load_plan(),
        phases=options.only,
        anew=options.only if options.anew == [] else options.anew or (),
        threads=options.threads,
        device=torch.device(options.device),
    )
    print(f"{path.name} is complete for: {', '.join(options.only)}")
