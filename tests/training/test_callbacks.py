"""Pictures of what a model makes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.training import tiny
from vqvae.data.base import Batch, Condition, Dataset
from vqvae.errors import CheckpointError
from vqvae.likelihoods import PixelDistanceConfig
from vqvae.models import VQVAE
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import VectorQuantizerConfig
from vqvae.reports.grids import grid, pair_grid
from vqvae.signals import sound
from vqvae.storage import RunCard
from vqvae.training import Callback, ReconstructionGrid, SampleGrid
from vqvae.training.callbacks import Early


def test_a_grid_shows_held_out_images_above_their_reconstructions(tmp_path: Path) -> None:
    held_out, model = tiny.Noise(20, 1), tiny.model().build().eval()
    callback = ReconstructionGrid(held_out, pair_grid, every=4, count=5, columns=3)
    assert isinstance(callback, Callback)
    shown = callback(8, model, tmp_path)["reconstructions"]
    stored = np.asarray(Image.open(tmp_path / "grids" / "reconstructions-000008.png"))
    assert np.array_equal(shown, stored)
    batch = held_out.batch(np.array([0, 4, 8, 12, 16]))
    assert np.array_equal(stored[:8, :8], batch.x[0].permute(1, 2, 0))
    assert np.array_equal(stored[20:28, 10:18], batch.x[4].permute(1, 2, 0))
    decoded = model.decode(model.encode(batch))
    assert np.array_equal(stored[30:38, 10:18], decoded[4].permute(1, 2, 0))


def test_what_was_padded_is_cut_off(tmp_path: Path) -> None:
    class Odd(tiny.Noise):
        def batch(self, indices: np.ndarray) -> object:
            batch = super().batch(indices)
            return batch._replace(x=batch.x[:, :, :7, :5])

    shown = ReconstructionGrid(Odd(3, 1), pair_grid, every=1)(1, tiny.model().build().eval(), tmp_path)["reconstructions"]
    assert shown.shape == (2 * 9 - 2, 3 * 7 - 2, 3)


def test_the_condition_reaches_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Condition] = []
    decode = VQVAE.decode
    monkeypatch.setattr(VQVAE, "decode", lambda self, codes, condition, **rest: (seen.append(condition), decode(self, codes, **rest))[1])
    ReconstructionGrid(tiny.Noise(4, 1), pair_grid, every=1)(1, tiny.model().build().eval(), tmp_path)
    assert seen[0].label.tolist() == [0, 1, 0, 1]


def test_nothing_held_out_is_nothing_to_show(tmp_path: Path) -> None:
    assert ReconstructionGrid(tiny.Noise(0, 1), pair_grid, every=1)(1, tiny.model().build().eval(), tmp_path) == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "grids").write_text("")
    with pytest.raises(CheckpointError, match=r"reconstructions-000001.png could not be written"):
        ReconstructionGrid(tiny.Noise(4, 1), pair_grid, every=1)(1, tiny.model().build().eval(), tmp_path)


def test_samples_of_a_prior_are_those_that_its_pipeline_draws(tmp_path: Path) -> None:
    tokenizer = tiny.model().build().eval()
    level = tokenizer.layout[0]
    prior = (
        PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, layers=1, hidden=4, classes=2).build().eval()
    )
    known = {"label_names": ("a", "b"), "size": (8, 8)}
    callback = SampleGrid(Pipeline(tokenizer, **known), grid, every=4, count=3, columns=3)
    assert isinstance(callback, Callback)
    shown = callback(12, prior, tmp_path)["samples"]
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "grids" / "samples-000012.png")))
    drawn = Pipeline(tokenizer, prior, **known).sample(3)
    assert np.array_equal(shown[:, 20:28], drawn[2].permute(1, 2, 0))


class Coarse(nn.Module):
    """Waves to latents, or back: a strided convolution."""

    stride = (4,)

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: torch.Tensor, condition: Condition = Condition()) -> torch.Tensor:
        return self.convolution(x)


def wave_model() -> VQVAE:
    torch.manual_seed(0)
    return VQVAE(
        encoder=Coarse(nn.Conv1d(1, 2, 4, stride=4)),
        quantizer=VectorQuantizerConfig(dim=2, codebook_size=4, start_from_data=False).build(),
        decoder=Coarse(nn.ConvTranspose1d(2, 1, 4, stride=4)),
        criterion=PixelDistanceConfig(channels=1, levels=None).build(),
    ).eval()


class Waves(Dataset):
    """Random waves of a length that no stride divides."""

    name, signal = "waves", sound()

    def __len__(self) -> int:
        return 6

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(torch.rand(len(indices), 1, 37, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def test_any_kind_of_data_is_drawn_by_the_function_that_is_given(tmp_path: Path) -> None:
    drawn: list[tuple[torch.Tensor, torch.Tensor, int]] = []

    def pairs(above: torch.Tensor, below: torch.Tensor, columns: int) -> np.ndarray:
        drawn.append((above, below, columns))
        return np.full((4, 5, 3), 7, np.uint8)

    model = wave_model()
    shown = ReconstructionGrid(Waves(), pairs, every=1, count=3, columns=2)(1, model, tmp_path)["reconstructions"]
    ((above, below, columns),) = drawn
    assert above.shape == below.shape == (3, 1, 37) and columns == 2 and (shown == 7).all()
    assert torch.equal(above, Waves().batch(np.arange(3)).x) and torch.equal(below, model.decode(model.encode(Batch(above)))[..., :37])
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "grids" / "reconstructions-000001.png")))


def test_samples_keep_the_whole_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards: list[RunCard] = []
    monkeypatch.setattr(Pipeline, "sample", lambda self, count: (cards.append(self.card), torch.zeros(count, 3, 4, 4).byte())[1])
    card = RunCard(recipe="tiny", data="noise", label_names=("a", "b"), size=(8, 8))
    pipeline = Pipeline(tiny.model().build(), card=card)
    SampleGrid(pipeline, grid, every=1)(1, PixelCNNConfig(codebook_size=8, layers=1, hidden=4, classes=2).build(), tmp_path)
    assert cards == [pipeline.card] and cards[0].recipe == "tiny"


def test_a_picture_that_fails_does_not_end_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing:
        every = 4

        def __call__(self, step: int, module: nn.Module, folder: Path) -> dict:
            raise ZeroDivisionError("no picture")

    tiny.trainer(tmp_path / "run", tiny.settings(), callbacks=[Failing()]).run()
    assert (tmp_path / "run" / "tokenizer").is_dir()
    assert capsys.readouterr().err.count("Failing failed (no picture). Training continues.") == 3


def test_the_first_pictures_come_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("vqvae.training.callbacks.EARLY", 2)
    callbacks = [ReconstructionGrid(tiny.Noise(4, 1), pair_grid, every=every) for every in (5, 0)]
    tiny.trainer(tmp_path / "often", tiny.settings(steps=6), callbacks=callbacks[:1]).run()
    tiny.trainer(tmp_path / "once", tiny.settings(steps=6), callbacks=callbacks[1:]).run()
    names = {run: sorted(path.name[-8:-4] for path in (tmp_path / run / "grids").iterdir()) for run in ("often", "once")}
    assert names == {"often": ["0002", "0005", "0006"], "once": ["0006"]}
    assert capsys.readouterr().err.count("The first pictures are in") == 1


def test_first_pictures_come_after_some_steps_or_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("vqvae.training.callbacks.time.monotonic", lambda: now[0])
    fast = Early()
    assert [step for step in range(1, 200) if fast(step)] == [50]
    slow = Early()
    found = []
    for step in range(1, 100):
        now[0] += 7.0
        found += [step] if slow(step) else []
    assert found == [5]
    resumed = Early()
    now[0] += 100
    assert not resumed(300)
