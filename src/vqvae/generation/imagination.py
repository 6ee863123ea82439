"""What comes next: codes of further frames, given codes of the first frames and actions [VQVAE §4.4]."""

import operator
from collections.abc import Sequence
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae.config import shown
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.sampling import sample_codes
from vqvae.priors import SamplingPrior

Actions = str | int | Sequence[str | int] | Tensor | np.ndarray | None
"""Names or numbers, one per frame, for all clips; or integers (clips, frames). A name or number alone is one action, None is no action."""
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
"""The types of actions in a tensor."""


def action_numbers(actions: Actions, names: tuple[str, ...], clips: int) -> Int64[Tensor, "clips frames"]:
    """Actions as numbers, for each clip.

    Raises:
        ConfigError: if an action is unknown; the message lists the known ones.
        DataError: if a tensor has the wrong shape.
    """
    if isinstance(actions, np.ndarray) and actions.ndim == 2 and actions.dtype.kind in "iu":
        actions = torch.from_numpy(actions.astype(np.int64))
    if actions is None:
        actions = ()
    if isinstance(actions, str | int | Integral):
        actions = (actions,)
    if isinstance(actions, Tensor):
        if actions.ndim != 2 or len(actions) != clips or actions.dtype not in _WHOLE:
            raise DataError(f"actions is {actions.dtype} {tuple(actions.shape)}; expected integers (clips, frames) for {clips} clips.")
        given = actions.long().cpu()
    else:
        given = torch.tensor([[_number(action, names) for action in actions]], dtype=torch.int64, device="cpu").expand(clips, -1)
    for number in given.unique().tolist():
        _number(number, names)
    return given


def imagine_codes(
    prior: SamplingPrior,
    known: Int64[Tensor, "clips codebooks time *space"],
    frames: int,
    actions: Int64[Tensor, "clips steps"] | None = None,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    batch_size: int = 64,
) -> Int64[Tensor, "clips codebooks frames *space"]:
    """Draw the codes of the frames after known ones; see ``sample_codes``.

    Args:
        prior: a prior over frames of codes.
        known: codes of the first frames.
        frames: number of frames to draw.
        actions: the action at each known and drawn frame but the last, if the prior takes actions.
        seed: seed of the random numbers; clip i has its own.
        temperature, top_k, top_p: see ``vqvae.layers.autoregressive.Choice``.
        batch_size: clips per batch.
    """
    free = known.new_full((*known.shape[:2], frames, *known.shape[3:]), -1)
    prefix = torch.cat([known, free], 2)
    drawn = sample_codes(
        *(prior, len(known), tuple(prefix.shape[2:])),
        condition=Condition(actions=actions),
        prefix=prefix,
        seed=seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        batch_size=batch_size,
    )
    return drawn[:, :, known.shape[2] :]


def _number(action: object, names: tuple[str, ...]) -> int:
    if isinstance(action, str) and action in names:
        return names.index(action)
    number = int(action) if isinstance(action, str) and action.isdecimal() and len(action) <= 9 else action
    if isinstance(number, Integral) and not isinstance(number, bool) and number in range(len(names)):
        return operator.index(number)
    known = f"the actions are {', '.join(names)} (or their numbers, from 0)" if names else "this model was trained without actions"
    raise ConfigError(f"There is no action {shown(action)}; {known}.")
