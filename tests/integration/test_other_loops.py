"""A quantizer in loops that are not ours: the same codebook and the same losses in plain PyTorch, Lightning and accelerate."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vqvae import EMAQuantizerConfig, FSQConfig, ProductQuantizerConfig, ResidualQuantizerConfig, VectorQuantizerConfig

DIM, STEPS = 4, 12
KINDS = (
    EMAQuantizerConfig(dim=DIM, codebook_size=8, start_from_data=False),
    VectorQuantizerConfig(dim=DIM, codebook_size=8, start_from_data=False),
    ProductQuantizerConfig(dim=DIM, codebook_size=8, num_codebooks=2, start_from_data=False),
    ResidualQuantizerConfig(dim=DIM, codebook_size=8, num_codebooks=2, start_from_data=False),
    FSQConfig(dim=DIM, levels=(4, 4)),
)


class Network(nn.Module):
    """A user's autoencoder of rows, whose latents have their channels last."""

    def __init__(self, quantizer: nn.Module) -> None:
        super().__init__()
        self.encoder, self.quantizer, self.decoder = nn.Linear(6, DIM), quantizer, nn.Linear(DIM, 6)

    def forward(self, x: Tensor) -> Tensor:
        quantized = self.quantizer(self.encoder(x), channels_last=True)
        return (self.decoder(quantized.vectors) - x).square().mean() + quantized.loss


def plain(network: Network, batches: list[Tensor], folder: Path) -> list[float]:
    """The losses of a loop of a few lines."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for x in batches:
        optimizer.zero_grad()
        loss = network(x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def in_accelerate(network: Network, batches: list[Tensor], folder: Path) -> list[float]:
    """The losses under Hugging Face accelerate."""
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    ours, optimizer = accelerator.prepare(network, torch.optim.Adam(network.parameters(), lr=0.01))
    losses = []
    for x in batches:
        optimizer.zero_grad()
        loss = ours(x)
        accelerator.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


def in_lightning(network: Network, batches: list[Tensor], folder: Path) -> list[float]:
    """The losses in Lightning's Trainer."""
    lightning = pytest.importorskip("lightning")
    losses = []

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Tensor) -> Tensor:
            loss = self.network(batch)
            losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", devices=1, default_root_dir=folder, **quiet)
    trainer.fit(Module(), torch.utils.data.DataLoader(batches, batch_size=None))
    return losses


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.*:FutureWarning")  # Lightning's own.
@pytest.mark.parametrize("loop", [in_accelerate, in_lightning])
@pytest.mark.parametrize("config", KINDS, ids=lambda config: type(config).__name__)
def test_every_loop_learns_what_a_plain_one_learns(
    config: object, loop: Callable[[Network, list[Tensor], Path], list[float]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    batches = [torch.randn(16, 5, 6) for _ in range(STEPS)]
    expected = Network(config.build())
    found = copy.deepcopy(expected)
    torch.manual_seed(1)
    losses = plain(expected, batches, tmp_path)
    torch.manual_seed(1)
    assert loop(found, batches, tmp_path) == losses
    assert losses[-1] < losses[0]
    before, after = expected.quantizer.state_dict(), found.quantizer.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], value) for name, value in before.items())
