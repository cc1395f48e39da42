"""The forms in which a network is run: eager, compiled, exported to ONNX, and with 8-bit integers.

A form is a `Runner`, a function from images to logits. Every form but the last must give the eager
network's logits within 1e-4, or it is refused; what 8-bit integers change is measured on images
(`study.costs.measure`). ONNX, ONNX Runtime and a C++ compiler are asked for only by the forms
that need them.

Whatever keeps a network from a form is a `DeploymentError` that says why: `BackendUnavailable`
where a program or package is missing, `Mismatch` where the logits are others.
"""

import importlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.paths import write_atomically

# The operator set of torch's own exporter: it writes others by converting its graph.
OPSET = 18
TOLERANCE = 1e-4
# Logits of an untrained network may be so small that the tolerance would pass any numbers; so the
# difference must also be small beside the largest logit.
RELATIVE_TOLERANCE = 1e-3
INPUT, OUTPUT = "images", "logits"
_BATCH = 32  # images at a time in a calibration

Runner = Callable[[Tensor], Tensor]


class DeploymentError(RuntimeError):
    """A network cannot be brought into a form."""


class BackendUnavailable(DeploymentError):
    """A form needs a program or package that is not installed."""


class Mismatch(DeploymentError):
    """A form's logits differ from those of the eager network."""


@dataclass(frozen=True)
class Export:
    """An exported graph."""

    path: Path
    opset: int  # operator set of ONNX's own domain in it
    difference: float  # largest of a logit to the eager network's, on the images of the test
    scale: float  # largest of those logits


def random_images(count: int, *, image_size: int, in_channels: int = 3, seed: int = 0) -> Tensor:
    """Return random images (count, in_channels, S, S), about as bright as normalised ones.

    Each has its own brightness, large patches and noise: images of noise alone look alike to a
    network that averages over them, and batch norm would blow up what little they differ.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(side: int) -> Tensor:
        return torch.randn(count, in_channels, side, side, generator=generator)

    size = (image_size, image_size)
    patches = functional.interpolate(draw(4), size=size, mode="bilinear")
    return (draw(1) + patches + draw(image_size)) / 3**0.5


def settle_batch_norm(model: nn.Module, images: Tensor) -> nn.Module:
    """Set the batch norms of an untrained network to the statistics of `images`; return it.

    Without it an untrained network's activations shrink from layer to layer: its logits are next to
    nothing, and numbers that small are slow to compute with. It is left in evaluation mode.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.momentum = None  # the average over all batches seen: here of one
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def check_logits(reference: Tensor, logits: Tensor, *, what: str) -> tuple[float, float]:
    """Return the largest difference of logits (n, K) to the eager network's, and their largest.

    A difference above 1e-4, or above a thousandth of the largest logit, is a `Mismatch` of `what`,
    as are another shape and logits that are not finite.
    """
    reference, logits = reference.detach().double().cpu(), logits.detach().double().cpu()
    if reference.shape != logits.shape:
        raise Mismatch(
            f"{what}: logits of shape {tuple(logits.shape)}, expected {tuple(reference.shape)}."
        )
    difference, scale = (reference - logits).abs().max().item(), reference.abs().max().item()
    allowed = min(TOLERANCE, RELATIVE_TOLERANCE * scale)
    if not difference <= allowed:  # also where it is no number
        raise Mismatch(
            f"{what}: its logits differ from the eager network's by up to {difference:.1e}, "
            f"allowed are {allowed:.1e} (largest logit {scale:.1e})."
        )
    return difference, scale


# --- torch ---------------------------------------------------------------------------------------


def eager_runner(model: nn.Module) -> Runner:
    """Return the network as it is, in evaluation mode; a GPU's result is waited for."""
    model.eval()

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits = model(images)
        if logits.device.type == "cuda":
            torch.cuda.synchronize(logits.device)
        return logits

    return run


def compiled_runner(model: nn.Module, *, example: Tensor) -> Runner:
    """Compile a network for images of the shape of `example` (B, C, S, S) alone, and check it."""
    run_eager = eager_runner(model)
    run = eager_runner(torch.compile(model, fullgraph=True, dynamic=False))
    try:
        logits = run(example)
    except Exception as error:  # whatever stops the compiler is the answer of this form
        if "InvalidCxxCompiler" in f"{type(error).__name__}: {error}":
            raise BackendUnavailable(
                "torch.compile needs a C++ compiler, and none works here; install g++, or set CXX."
            ) from error
        raise DeploymentError(f"torch.compile: {_reason(error)}") from error
    check_logits(run_eager(example), logits, what="compiled")
    return run


# --- ONNX ----------------------------------------------------------------------------------------


def export_onnx(model: nn.Module, path: Path, *, image_size: int, in_channels: int = 3) -> Export:
    """Export a network on the CPU to ONNX, for any number of images at a time, and check the graph.

    The file is written only if the graph is right.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _need(package)
    model.eval()
    images = random_images(2, image_size=image_size, in_channels=in_channels)
    with write_atomically(path) as temporary:
        with _answering("ONNX export"), _quiet():
            program = torch.onnx.export(
                model,
                (images,),
                dynamo=True,
                opset_version=OPSET,
                external_data=False,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )
            program.save(temporary)
        checked = check_export(temporary, model, image_size=image_size, in_channels=in_channels)
        if checked.opset != OPSET:
            raise DeploymentError(
                f"ONNX export: opset {OPSET} was asked for, {checked.opset} was written."
            )
    return replace(checked, path=path)


def check_export(path: Path, model: nn.Module, *, image_size: int, in_channels: int = 3) -> Export:
    """Compare an exported graph with its network, on one and on three random images."""
    onnx = _need("onnx")
    run, run_eager = onnx_runner(path, threads=1), eager_runner(model)
    images = random_images(3, image_size=image_size, in_channels=in_channels)
    found = [
        check_logits(run_eager(batch), run(batch), what=f"ONNX, {len(batch)} images")
        for batch in (images[:1], images)
    ]
    opsets = {o.domain: o.version for o in onnx.load(path).opset_import}
    return Export(path, opsets[""], *(max(values) for values in zip(*found, strict=True)))


def onnx_runner(path: Path, *, threads: int) -> Runner:
    """Open an ONNX graph with ONNX Runtime on the CPU; its input is "images", its output "logits".

    The threads work within an operator; operators run one after the other.
    """
    runtime = _need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads would go on turning round for a while, at the cost of whoever computes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    with _answering(f"ONNX Runtime cannot open {path.name}"):
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(logits)

    return run


def quantise(source: Path, target: Path, *, images: np.ndarray) -> Path:
    """Turn an exported graph into 8-bit integers: static quantisation by ONNX Runtime.

    Weights are signed and have a scale for each output channel; activations are unsigned, their
    range is the smallest and largest value that `images` give (MinMax): float32 (n, C, S, S),
    prepared as for the network; take validation images. The graph holds pairs of QuantizeLinear and
    DequantizeLinear (QDQ), which the runtime fuses with what lies between.
    """
    if not len(images):
        raise ValueError("quantisation needs images for its calibration, got none.")
    _need("onnx")
    tools = _need("onnxruntime.quantization")
    shapes = _need("onnxruntime.quantization.shape_inference")
    starts = range(0, len(images), _BATCH)
    batches = iter([{INPUT: images[start : start + _BATCH]} for start in starts])

    class Reader(tools.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(batches, None)

    atomically = write_atomically(target)
    with _answering("int8"), tempfile.TemporaryDirectory() as folder, atomically as whole, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        shapes.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        tools.quantize_static(
            prepared,
            whole,
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            calibrate_method=tools.CalibrationMethod.MinMax,
        )
    return target


@contextmanager
def _answering(what: str) -> Iterator[None]:
    """Turn whatever stops a tool into the answer of its form; errors have no class in common."""
    try:
        yield
    except Exception as error:
        raise DeploymentError(f"{what}: {_reason(error)}") from error


def _need(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise BackendUnavailable(
            f"{package} is not installed, and this form of a network needs it; "
            "`pip install -r requirements.txt`."
        ) from error


def _reason(error: BaseException) -> str:
    """Return in one line why something failed: the innermost error of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep exporter and quantiser from talking; their errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
