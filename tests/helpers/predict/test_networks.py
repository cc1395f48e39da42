"""Every network of the registry predicts a folder by the command, at any of the usual sizes."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from helpers.models.registry import build_model, list_models
from helpers.predict import __main__ as command
from tests.fabricated import fabricate_run

SIZES = (32, 64, 224)
# At 32 px the last stage of many ends in one pixel; some are built for one size alone.
REPRESENTATIVE = (
    *(("efficientformerv2_s0", size) for size in SIZES),
    *((name, 32) for name in ("mobilevit_s", "edgenext_small", "nest_tiny", "medmamba_t")),
    *((name, 64) for name in ("swin_tiny", "brain_inspired_resnet18")),
)


def check(name, size, folder, capsys):
    """Predict two images with an untrained network."""
    torch.manual_seed(0)
    model = build_model(name, num_classes=2, image_size=size, pretrained="none")
    run = fabricate_run("breastmnist_64", name, image_size=size, pretrained="none")
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, run.path / "model.safetensors")
    (folder / "images").mkdir()
    for k in range(2):
        pixels = np.random.default_rng(k).integers(0, 256, (60, 70)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{k}.png")
    paths = {"--run": run.path, "--images": folder / "images", "--output": folder / "out"}
    assert command.main([str(part) for pair in paths.items() for part in pair]) == 0
    printed = capsys.readouterr().out
    assert "predicted   2 frame(s) of 2 file(s)" in printed
    assert "no overlays" not in printed
    table = pd.read_csv(folder / "out" / "predictions.csv")
    assert np.isfinite(table["confidence"]).all() and len(table) == 2
    assert sorted(p.name for p in (folder / "out" / "overlays").iterdir()) == sorted(
        table["overlay"]
    )


@pytest.mark.parametrize(("name", "size"), REPRESENTATIVE)
def test_networks_predict_and_are_explained(name, size, tmp_path, results_tree, capsys):
    check(name, size, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", list_models())
def test_every_network_predicts_and_is_explained(name, size, tmp_path, results_tree, capsys):
    check(name, size, tmp_path, capsys)
