"""The examples of the README run as they are shown."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

from vqvae.cli.main import COMMANDS, main
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline, save
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import RECIPES

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "index.md",
    *sorted(path for folder in ("start", "guides", "theory") for path in (ROOT / "docs" / folder).glob("*.md")),
]
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


KINDS = ("--model", "--model.encoder", "--model.decoder", "--model.quantizer")
"""Flags that name a kind of part. Other flags depend on it."""


def commands(path: Path) -> list[list[str]]:
    """The words of each command in a document, in code blocks and in the text."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split("#")[0].split() for line in re.findall(r"(?:^|`|bin/)vqvae ([a-z][^`\n]*)", text, re.MULTILINE)]


def all_flags(words: list[str]) -> str:
    """What --help-all prints for a command."""
    called = [words[0]]
    if words[0] == "train":
        called += [words[1] if words[1] in RECIPES else "images", "--data", "nowhere"]
        for flag in (name for name in KINDS if name in words):
            called += words[(place := words.index(flag)) : place + 2]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main([*called, "--help-all"])
    return shown.getvalue()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_and_flags_that_are_shown_are_there(path: Path) -> None:
    for words in commands(path):
        assert words[0] in {*COMMANDS, "recipes"} or words == ["COMMAND"], words
        flags = {word for word in words if word.startswith("--")} - {"--help", "--help-all", "--prior", *KINDS}
        if flags and words[0] != "train-prior":  # Its flags depend on the run.
            known = re.findall(r"--[\w.-]+", all_flags(words))
            assert flags <= set(known), words


def test_the_readme_has_a_command_for_each_task() -> None:
    assert {words[0] for words in commands(SHOWN[0])} >= TASKS
    assert "--minutes" in SHOWN[0].read_text(encoding="utf-8")
