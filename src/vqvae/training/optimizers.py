"""The optimizers of a module: the parameters that each updates, and the learning rate of each step."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.likelihoods import Adversary
from vqvae.models.autoencoder import Autoencoder
from vqvae.models.categorical import CategoricalPosterior
from vqvae.quantizers.base import Quantizer
from vqvae.training.muon import Muon


@settings
class AdamConfig:
    """Adam [Kingma & Ba 2015, arXiv 1412.6980], as in [VQVAE §4.1], with decoupled weight decay [arXiv 1711.05101]."""

    learning_rate: float = 2e-4
    """The highest learning rate. The paper uses 2e-4."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay per step of the running means of gradients and squared gradients."""
    weight_decay: float = 0.0
    """Weight decay per step, multiplied by the learning rate. Biases, norms and codebooks do not decay."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises linearly."""
    schedule: Literal["constant", "cosine"] = "constant"
    """The schedule after the warm-up: constant, or half a cosine down to zero."""
    clip_norm: float = 0.0
    """The largest gradient norm; larger gradients are scaled down. 0: no limit."""
    encoder_share: float = 1.0
    """The encoder's learning rate, as a share of ``learning_rate``. With an autoregressive decoder, the encoder's early gradients are
    mostly noise, and a high rate could destroy the encoder."""
    muon: float = 0.0
    """The highest learning rate of Muon [Jordan 2024], which then updates the weights of linear and convolutional layers in place of Adam.
    Its schedule is that of Adam. 0: Adam updates everything."""

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ConfigError(f"AdamConfig.learning_rate is {self.learning_rate}; it must be positive.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"AdamConfig.betas is {self.betas}; both must lie in [0, 1).")
        for name in ("weight_decay", "warmup_steps", "clip_norm", "encoder_share", "muon"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"AdamConfig.{name} is {getattr(self, name)}; it must not be negative.")

    def build(self, module: nn.Module, parameters: Sequence[nn.Parameter] | None = None) -> "Adam":
        return Adam(self, module, parameters)


class Adam:
    """The optimizer of a module's parameters, or of some of them. Fused if torch has a fused kernel (CPU and CUDA).

    With ``AdamConfig.muon``, a second optimizer updates the weights of linear and convolutional layers.
    """

    def __init__(self, config: AdamConfig, module: nn.Module, parameters: Sequence[nn.Parameter] | None = None) -> None:
        """Make an optimizer of all parameters that are not frozen.

        Args:
            config: the settings.
            module: the module with the parameters.
            parameters: the parameters to train, in the module's order; default: all.

        Raises:
            ConfigError: if there are no parameters, or ``encoder_share`` is set and there is no encoder.
        """
        self.config = config
        self.parameters = [p for p in (module.parameters() if parameters is None else parameters) if p.requires_grad]
        if not self.parameters:
            raise ConfigError(f"{type(module).__name__} has no parameters to train.")
        fused = all(p.device.type in ("cpu", "cuda") for p in self.parameters)
        groups, hidden = _groups(config, module, self.parameters), _matrices(module) if config.muon else set()
        theirs = [{**group, "params": [p for p in group["params"] if id(p) not in hidden]} for group in groups]
        matrices = [{**group, "params": [p for p in group["params"] if id(p) in hidden]} for group in groups]
        # Each optimizer with its highest learning rate.
        self.parts: list[tuple[torch.optim.Optimizer, float]] = []
        if theirs := [group for group in theirs if group["params"]]:
            self.parts.append((torch.optim.AdamW(theirs, config.learning_rate, config.betas, fused=fused), config.learning_rate))
        if matrices := [group for group in matrices if group["params"]]:
            self.parts.append((Muon(matrices, config.muon), config.muon))

    def norm(self) -> Float[Tensor, ""]:
        """The norm of the gradient over all parameters."""
        return torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])

    def step(self, norm: Float[Tensor, ""], step: int, steps: int) -> None:
        """Update the parameters in step ``step`` (from 0) of ``steps``, given the gradient's norm. Then clear the gradient."""
        if self.config.clip_norm:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.config.clip_norm, norm)
        share = learning_rate(self.config, step, steps) / self.config.learning_rate
        for optimizer, highest in self.parts:
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * share * highest
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def owners(self) -> dict[nn.Parameter, torch.optim.Optimizer]:
        """For each parameter, the optimizer that updates it."""
        return {p: optimizer for optimizer, _ in self.parts for group in optimizer.param_groups for p in group["params"]}


def build_optimizers(module: nn.Module, config: AdamConfig, adversary_config: AdamConfig) -> tuple[Adam, ...]:
    """The optimizer of a module and, if its criteria include adversaries, theirs. No parameter has two optimizers.

    Raises:
        ConfigError: if there is nothing to train, or settings do not fit the module.
    """
    of_adversaries = {id(p) for part in module.modules() if isinstance(part, Adversary) for p in part.parameters()}
    parameters = [p for p in module.parameters() if p.requires_grad]
    model = config.build(module, [p for p in parameters if id(p) not in of_adversaries])
    theirs = [p for p in parameters if id(p) in of_adversaries]
    return (model, adversary_config.build(module, theirs)) if theirs else (model,)


def learning_rate(config: AdamConfig, step: int, steps: int) -> float:
    """The learning rate of step ``step`` (from 0) of a run of ``steps``."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _matrices(module: nn.Module) -> set[int]:
    """The ids of the weights of linear and convolutional layers."""
    layers = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
    return {id(part.weight) for part in module.modules() if isinstance(part, layers)}


def _groups(config: AdamConfig, module: nn.Module, parameters: Sequence[nn.Parameter]) -> list[dict[str, Any]]:
    """Parameters in groups with one learning rate and one weight decay."""
    codebooks = {id(p) for part in module.modules() if isinstance(part, Quantizer | CategoricalPosterior) for p in part.parameters()}
    encoders = {id(p) for part in module.modules() if isinstance(part, Autoencoder) for p in part.encoder.parameters()}
    if config.encoder_share != 1 and not any(id(p) in encoders for p in parameters):
        raise ConfigError(
            f"AdamConfig.encoder_share is {config.encoder_share}, but {type(module).__name__} has no encoder among the parameters of this "
            "optimizer. Set it to 1."
        )
    groups: list[dict[str, Any]] = []
    for share, part in (
        (config.encoder_share, [p for p in parameters if id(p) in encoders]),
        (1.0, [p for p in parameters if id(p) not in encoders]),
    ):
        decayed = [p for p in part if p.ndim > 1 and id(p) not in codebooks]
        others = [p for p in part if p.ndim <= 1 or id(p) in codebooks]
        groups += [{"params": decayed, "weight_decay": config.weight_decay, "share": share}]
        groups += [{"params": others, "weight_decay": 0.0, "share": share}]
    return [group for group in groups if group["params"]]
