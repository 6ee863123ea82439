"""The optimizer and its learning rate as a function of the step."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from vqvae.errors import ConfigError
from vqvae.models.categorical import CategoricalPosterior
from vqvae.quantizers.base import Quantizer


@dataclass(frozen=True, kw_only=True)
class AdamConfig:
    """Adam [Kingma & Ba 2015, arXiv 1412.6980], as in [VQVAE §4.1], with decoupled weight decay [arXiv 1711.05101]."""

    learning_rate: float = 2e-4
    """The highest learning rate; the paper's is 2e-4."""
    betas: tuple[float, float] = (0.9, 0.999)
    """How much of the running means of gradients and squared gradients a step keeps."""
    weight_decay: float = 0.0
    """Share of the weights (times the learning rate) taken off in each step; never of biases, norms and codebooks."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly."""
    schedule: Literal["constant", "cosine"] = "constant"
    """What follows the warm-up: the same rate to the end, or half a cosine down to zero."""
    clip_norm: float = 0.0
    """Gradients are scaled down to this norm at most; 0 is off."""
    encoder_share: float = 1.0
    """The encoder's learning rate, as a share of everything else's. Beside a decoder that is autoregressive it hears little but noise at
    first, which a high rate would let destroy it."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ConfigError(f"optimizer.learning_rate is {self.learning_rate}; it must be positive.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer.betas is {self.betas}; both must lie in [0, 1).")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "encoder_share"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"optimizer.{name} is {getattr(self, name)}; it must not be negative.")

    def build(self, module: nn.Module) -> torch.optim.AdamW:
        return build_adam(self, module)


def build_adam(config: AdamConfig, module: nn.Module) -> torch.optim.AdamW:
    """Make the optimizer of a module's parameters; fused where torch has a fused kernel (CPU and CUDA)."""
    codebooks = {id(p) for part in module.modules() if isinstance(part, Quantizer | CategoricalPosterior) for p in part.parameters()}
    encoder = {id(p) for name, p in module.named_parameters() if name.startswith("encoder.")}
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for share, part in (
        (config.encoder_share, [p for p in parameters if id(p) in encoder]),
        (1.0, [p for p in parameters if id(p) not in encoder]),
    ):
        decayed = [p for p in part if p.ndim > 1 and id(p) not in codebooks]
        others = [p for p in part if p.ndim <= 1 or id(p) in codebooks]
        groups += [{"params": decayed, "weight_decay": config.weight_decay, "share": share}]
        groups += [{"params": others, "weight_decay": 0.0, "share": share}]
    if not parameters:
        raise ConfigError(f"{type(module).__name__} has no parameters that could be trained.")
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW([group for group in groups if group["params"]], config.learning_rate, config.betas, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: AdamConfig, step: int, steps: int) -> None:
    """Give every group of parameters its share of the learning rate of a step."""
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * learning_rate(config, step, steps)


def learning_rate(config: AdamConfig, step: int, steps: int) -> float:
    """The learning rate of step ``step`` (from 0) of a run of ``steps``."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
