"""The examples of the README run as they are shown."""

import re
from pathlib import Path

import pytest
import torch

from vqvae.cli.main import COMMANDS
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline, save
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig

ROOT = Path(__file__).parents[1]
SHOWN = [ROOT / "README.md", ROOT / "docs" / "start" / "quick-start.md"]

TASKS = {"train", "train-prior", "evaluate", "sample", "reconstruct", "encode", "decode", "convert", "compare"}
"""What a reader of the README must find."""


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model in runs/demo with the shapes of the demo's, and hardly any weights."""
    monkeypatch.chdir(tmp_path)
    parts = {"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}
    tokenizer = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=16, start_from_data=False),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(**parts),
        decoder=ImageDecoderConfig(**parts),
    ).build()
    prior = PixelCNNConfig(codebook_size=16, layers=1, hidden=4).build()
    save(Pipeline(tokenizer, prior, size=(84, 84)), "runs/demo")


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_python_examples_run_and_give_what_their_comments_say(path: Path, run: None) -> None:
    images = torch.randint(0, 256, (2, 3, 84, 84), dtype=torch.uint8)
    names: dict = {"images": images}
    for block in blocks(path, "python"):
        exec(block, names)
    assert names["codes"].shape == (2, 1, 21, 21) and names["codes"].dtype == torch.int64
    assert names["images"].shape == images.shape and names["images"].dtype == torch.uint8
    assert names["new"].shape == (16, 3, 84, 84) and names["bits"].shape == (2,)
    assert names["quantized"].vectors.shape[:2] == (8, 64) and names["quantized"].codes.shape[:2] == (8, 1)


def test_the_example_of_continuation_keeps_what_is_known(run: None) -> None:
    images = torch.randint(0, 256, (2, 3, 84, 84), dtype=torch.uint8)
    names: dict = {"images": images}
    for block in blocks(ROOT / "docs" / "guides" / "sampling.md", "python"):
        exec(block, names)
    assert names["halves"].shape == images.shape
    again = names["model"].decode(names["codes"])
    assert torch.equal(names["halves"][:, :, :24], again[:, :, :24]) and not torch.equal(names["halves"], again)


def test_commands_that_are_shown_are_there() -> None:
    for path in [*SHOWN, *(ROOT / "docs").glob("[!_]*/*.md"), ROOT / "docs" / "index.md"]:
        assert set(re.findall(r"(?:^|`)vqvae ([a-z][\w-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)) <= set(COMMANDS), path
    assert set(re.findall(r"(?:^|`)vqvae ([a-z][\w-]*)", SHOWN[0].read_text(encoding="utf-8"), re.MULTILINE)) >= TASKS
