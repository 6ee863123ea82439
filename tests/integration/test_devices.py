"""The same code on a CPU and, where there is one, on CUDA: every test runs on both."""

from pathlib import Path

import pytest
import torch

from tests.training import tiny
from vqvae.data.base import Batch
from vqvae.layers.autoregressive import sample
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig

no_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, no_cuda])])


def prior() -> torch.nn.Module:
    torch.manual_seed(0)
    return PixelCNNConfig(codebook_size=11, num_codebooks=2, layers=2, hidden=8, classes=0, output_hidden=8).build().eval()


@device
@pytest.mark.parametrize("mean", [0.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_codes_are_those_of_float64_under_autocast(device: str, mean: float, dtype: torch.dtype) -> None:
    quantizer = EMAQuantizerConfig(dim=16, codebook_size=64, start_from_data=False).build().eval()
    latents = mean + torch.randn(4, 16, 9, 7, generator=torch.Generator().manual_seed(0))
    quantizer.codebook.copy_(mean + torch.randn(1, 64, 16, generator=torch.Generator().manual_seed(1)))
    rows = latents.movedim(1, -1).reshape(-1, 16).double()
    expected = (rows[:, None] - quantizer.codebook[0].double()).square().sum(2).argmin(1)
    quantizer.to(device)
    with torch.autocast(device, dtype=dtype):
        found = quantizer(latents.to(device))
    assert torch.equal(found.codes.flatten().cpu(), expected)


@device
def test_a_run_that_was_stopped_goes_on(device: str, tmp_path: Path) -> None:
    whole = tiny.trainer(tmp_path / "whole", tiny.settings(), device=device).run()
    (tmp_path / "stopped" / "checkpoints").mkdir(parents=True)
    (tmp_path / "whole" / "checkpoints" / "step-000008").rename(tmp_path / "stopped" / "checkpoints" / "step-000008")
    again = tiny.trainer(tmp_path / "stopped", tiny.settings(), device=device).run()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=lambda text, name=name: f"{name}: {text}")


@device
def test_the_first_loss_is_that_of_the_cpu(device: str) -> None:
    model, batch = tiny.model().build(), Batch(tiny.Noise(4, 0).x)
    model.quantizer.started.fill_(True)
    expected = model.eval()(batch).loss
    torch.testing.assert_close(model.to(device)(batch.to(device)).loss.cpu(), expected, rtol=1e-4, atol=1e-5)


@device
def test_samples_do_not_depend_on_the_device(device: str) -> None:
    numbers = torch.rand(2, 5 * 4 * 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = sample(prior(), 2, (5, 4), uniforms=numbers, compiled=False)
    assert torch.equal(sample(prior().to(device), 2, (5, 4), uniforms=numbers).cpu(), expected)


@device
def test_a_pipeline_keeps_its_types(device: str) -> None:
    model = Pipeline(tiny.model().build(), PixelCNNConfig(codebook_size=8, layers=1, hidden=4).build(), size=(8, 8)).to(device)
    images = tiny.Noise(3, 0).x
    assert model.reconstruct(images).dtype == torch.uint8 and model.encode(images).device.type == "cpu"
    assert model.sample(2).shape == (2, 3, 8, 8) and model.bits_per_dim(images).isfinite().all()
