"""Training settings: what determines the result, and how the run is carried out."""

import math
from dataclasses import field

from vqvae import config as configuration
from vqvae.config import INCIDENTAL, SEED, THREADS, check_at_least, settings
from vqvae.data import DataConfig
from vqvae.errors import ConfigError
from vqvae.evaluation.probes import ProbeConfig
from vqvae.models import ModelConfig
from vqvae.priors import PriorConfig
from vqvae.training.joint import JointConfig
from vqvae.training.machine import Precision
from vqvae.training.optimizers import AdamConfig


@settings
class TrainConfig:
    """Everything that determines what is learned. A run folder belongs to one such configuration.

    Settings that do not affect the result, such as ``accumulate`` and the path of the data, may change when a run is resumed.
    """

    model: ModelConfig | PriorConfig | JointConfig | ProbeConfig | configuration.Foreign
    """The model to train."""
    data: DataConfig | None = None
    """The training data. None for priors, which train on the codes of their run."""
    steps: int
    """Training steps."""
    minutes: float | None = field(default=None, metadata=INCIDENTAL | {"value": "MINUTES"})
    """Time limit in minutes; 'vqvae train' divides it between the tokenizer and the prior. A short measurement before training sets the
    number of steps, which the run stores."""
    most_steps: int | None = field(default=None, metadata=INCIDENTAL)
    """The largest number of steps that a time limit may become. More steps would only memorise a small data set. None: no limit."""
    batch_size: int
    """Examples per step, over all processes."""
    seed: int = field(default=0, metadata=SEED)
    """Seed of the initial weights, the order of the data and all noise."""
    accumulate: int = field(default=1, metadata=INCIDENTAL)
    """Number of parts into which each process splits its batch, to save memory. Gradients are added up."""
    optimizer: AdamConfig = field(default_factory=AdamConfig)
    """The optimizer."""
    adversary_optimizer: AdamConfig = field(default_factory=AdamConfig)
    """The optimizer of adversaries among the criteria; unused without adversaries."""
    average_decay: float = 0.0
    """Decay per step of the running mean of weights. The mean replaces the weights in evaluation and in the saved model. 0: off."""
    precision: Precision = "auto"
    """Number format of matrix products and convolutions. "auto": bfloat16 if the hardware is faster with it, otherwise float32."""
    compile: bool = field(default=False, metadata=INCIDENTAL)
    """Compile the model with torch.compile. This needs a C++ compiler and takes about a minute at the start."""
    evaluate_every: int = field(default=1000, metadata=INCIDENTAL)
    """Steps between evaluations on held-out data. 0: only at the end."""
    start_from: str | None = field(default=None, metadata={"value": "RUN"})
    """A run whose weights are the initial weights (fine-tuning): a run folder, or hf:OWNER/NAME for a model on the Hub. Codebooks of other
    sizes start anew."""

    def __post_init__(self) -> None:
        check_at_least(1, self, "steps", "batch_size", "accumulate", *([] if self.most_steps is None else ["most_steps"]))
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ConfigError(f"minutes is {self.minutes}; it must be a positive number.")
        if self.evaluate_every < 0:
            raise ConfigError(f"evaluate_every is {self.evaluate_every}; it must not be negative (0: only at the end).")
        if not 0 <= self.average_decay < 1:
            raise ConfigError(f"average_decay is {self.average_decay}; it must lie in [0, 1).")


@settings
class RunOptions:
    """How a run is carried out. None of this affects what is learned."""

    checkpoint_every: int = 1000
    """Steps between checkpoints. A checkpoint is also saved at the end, on an interruption and after each evaluation that is the best so
    far. 0: only then."""
    keep_last: int = 2
    """Number of checkpoints to keep, in addition to the best."""
    log_every: int = 50
    """Steps between rows of metrics."""
    device: str = field(default="auto", metadata={"value": "DEVICE"})
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""
    threads: int | None = field(default=None, metadata=THREADS)
    """CPU threads. None: torch's default."""

    estimate: bool = True
    """Before training, time a few steps of a copy of the model and print how long training will take."""

    def __post_init__(self) -> None:
        for name, least in (("checkpoint_every", 0), ("keep_last", 1), ("log_every", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; it must be at least {least}.")


def check_batch_size(config: TrainConfig, processes: int) -> None:
    """Raise ConfigError unless batches can be split evenly."""
    if config.batch_size % (config.accumulate * processes):
        raise ConfigError(
            f"batch_size is {config.batch_size}; it must be a multiple of accumulate × processes ({config.accumulate} × {processes})."
        )
