"""Bits per frame of held-out episodes under priors over frames, over single frames, and with shifted actions."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vqvae.bits import bits
from vqvae.data import in_order
from vqvae.data.base import Condition, Dataset
from vqvae.errors import DataError

LogProbs = Callable[[Tensor, Condition], Tensor]
"""Codes (batch, codebooks, *space) and their condition to the log-probability of each code, in nats. A prior's ``code_log_probs``."""
SHIFTS = (-1, 0, 1)
_SINGLE = 32
"""Frames that a prior of single frames scores at once."""


class CodedEpisode(NamedTuple):
    """The codes of an episode, and the actions between its frames."""

    codes: Int[Tensor, "codebooks time *space"]
    actions: Int[Tensor, " time"] | None
    """The action at each frame. It leads to the next frame. None if unknown."""


def coded_episodes(codes: Dataset) -> Iterator[CodedEpisode]:
    """The examples of a data set of codes over time, without padding.

    Raises:
        DataError: if the codes have no axis of time.
    """
    if not codes.signal.axes or codes.signal.axes[0] != "time":
        raise DataError(f"The codes have the axes {codes.signal.axes}; episodes need time as the first. Encode clips of frames.")
    for batch in in_order(codes, 1):
        length = batch.x.shape[2] if batch.mask is None else int(batch.mask[0].flatten(1).all(1).sum())
        actions = batch.condition.actions
        yield CodedEpisode(batch.x[0, :, :length], None if actions is None else actions[0, :length])


@torch.inference_mode()
def frame_bits(log_probs: LogProbs, episode: CodedEpisode, device: torch.device | str = "cpu") -> Float[Tensor, " time"]:
    """The cost of each frame given the frames and actions before it, on the CPU.

    Args:
        log_probs: ``code_log_probs`` of a prior over frames.
        episode: what to score.
        device: the device of the prior.
    """
    codes = episode.codes[None].to(device)
    actions = None if episode.actions is None else episode.actions[None].to(device)
    nats = -log_probs(codes, Condition(actions=actions))[0]
    return bits(nats.transpose(0, 1).flatten(1).sum(1)).cpu()


@torch.inference_mode()
def single_frame_bits(log_probs: LogProbs, episode: CodedEpisode, device: torch.device | str = "cpu") -> Float[Tensor, " time"]:
    """The cost of each frame by itself, under a prior of pictures, on the CPU."""
    frames = episode.codes.transpose(0, 1).split(_SINGLE)
    return torch.cat([bits(-log_probs(part.to(device), Condition()).flatten(1).sum(1)).cpu() for part in frames])


def first_frame_bits(log_probs: LogProbs, episode: CodedEpisode, device: torch.device | str = "cpu") -> Float[Tensor, " time"]:
    """``single_frame_bits`` under a prior over frames, which takes every frame as the first of a clip."""
    return single_frame_bits(lambda codes, condition: log_probs(codes.unsqueeze(2), condition), episode, device)


def shifted_bits(log_probs: LogProbs, episodes: Sequence[CodedEpisode], device: torch.device | str = "cpu") -> dict[int, float]:
    """The mean bits per frame if each action is replaced by the one before (-1), kept (0), or replaced by the next (1).

    If a prior uses actions, and its training data assigns them to the right frames, the bits are lowest at 0. All three score the same
    frames: the first and the last frame of each episode are not used, because one shift has no action there.

    Raises:
        DataError: if actions are unknown, or no episode has four frames.
    """
    if any(episode.actions is None for episode in episodes):
        raise DataError("These episodes have no actions, so there is nothing to shift.")
    long = [episode for episode in episodes if episode.codes.shape[1] >= 4]
    if not long:
        raise DataError("No episode has 4 frames; shifted actions need at least 4.")
    found: dict[int, Any] = {shift: [] for shift in SHIFTS}
    for codes, actions in long:
        assert actions is not None
        for shift, costs in found.items():
            moved = CodedEpisode(codes[:, 1:-1], actions[1 + shift : len(actions) - 1 + shift])
            # The first frame does not depend on actions.
            costs.append(frame_bits(log_probs, moved, device)[1:])
    return {shift: float(torch.cat(costs).mean()) for shift, costs in found.items()}
