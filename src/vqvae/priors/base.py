"""The interface of p(codes)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from vqvae.codes import check_codes, count_codes
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import DataError


class Prior(nn.Module, ABC):
    """A distribution over the codes of one level. It sees only codes, never a model."""

    num_codebooks: int
    codebook_size: int
    classes: int = 0
    """Number of classes of ``condition.label``. 0: unconditional; labels are ignored."""

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy of a batch whose ``x`` holds codes (batch, codebooks, *space), in nats per code."""
        loss = -self.log_prob(batch.x, batch.condition, batch.mask).sum() / max(count_codes(batch.x, batch.mask), 1)
        return Objective(loss, {"nats_per_code": loss.detach()})

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Set initial weights from training codes, before the first step. By default nothing happens."""

    @abstractmethod
    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes | condition), in nats per example. Positions where the mask is False do not count.

        Raises:
            DataError: if codes have the wrong shape or range, or the condition lacks what the prior was trained with.
        """


class AutoregressivePrior(Prior):
    """A prior in raster order, the codebooks of a position one after the other (codebook fastest)."""

    @abstractmethod
    def start(
        self,
        batch_size: int,
        space: tuple[int, ...],
        condition: Condition = Condition(),
        prefix: Integer[Tensor, "batch codebooks *space"] | None = None,
    ) -> Any:
        """The decoding state before the first code. Entries of ``prefix`` other than -1 are known codes, which sampling keeps."""

    @abstractmethod
    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch codebook_size"], Any]:
        """Feed the previous code (None at first) and return the logits of the next, in float32."""

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats. ``log_prob`` is the sum over an example.

        Raises:
            DataError: as ``log_prob``.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        values = codes.movedim(1, -1).flatten(1)
        state, before, found = self.start(len(codes), tuple(codes.shape[2:]), condition), None, []
        for code in values.unbind(1):
            logits, state = self.step(before, state)
            found.append(logits.log_softmax(1).gather(1, code[:, None]))
            before = code
        each = torch.cat(found, 1) if found else values.float()
        return each.view(len(codes), *codes.shape[2:], self.num_codebooks).movedim(-1, 1)


def check_prior_codes(codes: Any, num_codebooks: int, codebook_size: int) -> Tensor:
    """Return codes as int64; see ``check_codes``."""
    return check_codes(codes, num_codebooks, codebook_size, "prior")


def check_label(condition: Condition, classes: int, batch_size: int) -> None:
    """Raise DataError unless there is a label in [0, classes) for each example; a prior without classes ignores labels."""
    label = condition.label
    if classes == 0:
        return
    if label is None:
        raise DataError(f"condition.label is missing; this prior has {classes} classes, numbered from 0.")
    if label.shape != (batch_size,):
        raise DataError(f"condition.label has the shape {tuple(label.shape)}; expected one label for each of {batch_size} examples.")
    if batch_size and not 0 <= int(label.min()) <= int(label.max()) < classes:
        raise DataError(f"Labels lie between {int(label.min())} and {int(label.max())}; this prior has 0 to {classes - 1}.")


def check_actions(condition: Condition, actions: int, batch_size: int, time: int, device: torch.device) -> Int[Tensor, "batch steps"]:
    """The actions between the frames of clips, as int64; zeros for a prior without actions.

    Args:
        condition: the condition of the clips.
        actions: number of actions of the prior. 0: none.
        batch_size: number of clips.
        time: frames per clip.
        device: where the zeros are.

    Raises:
        DataError: if actions are missing, too few, or unknown.
    """
    given, steps = condition.actions, max(time - 1, 0)
    if not actions:
        return torch.zeros(batch_size, steps, dtype=torch.int64, device=device)
    if given is None:
        raise DataError(f"condition.actions is missing; this prior has {actions} actions, numbered from 0.")
    if len(given) != batch_size or given.shape[1] < steps:
        raise DataError(
            f"condition.actions has the shape {tuple(given.shape)}; expected an action after each of the first {steps} frames of "
            f"{batch_size} clips."
        )
    given = given[:, :steps].long()
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < actions:
        raise DataError(f"Actions lie between {int(given.min())} and {int(given.max())}; this prior has 0 to {actions - 1}.")
    return given


def check_frame_mask(mask: Bool[Tensor, "batch time height width"] | None, prior: str) -> None:
    """Raise DataError if a mask cuts a frame; ``prior`` names who refuses it."""
    if mask is not None and not bool((mask.flatten(2).all(2) == mask.flatten(2).any(2)).all()):
        raise DataError(f"The mask of these codes cuts frames; a {prior} takes masks of whole frames.")
