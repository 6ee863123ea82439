"""Imagination with an action held, beside what the engine showed after the same frames and action."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vqvae.data.episodes import Episodes
from vqvae.data.rollouts import Rollouts, Start, check_starts
from vqvae.errors import DataError
from vqvae.evaluation.probes.dynamics import InverseDynamics
from vqvae.evaluation.video.frechet import Features, distances_by_step, halves, still, too_few
from vqvae.evaluation.video.position import IN_VIEW, positions_right
from vqvae.evaluation.video.rotation import Calibration, turned
from vqvae.pipeline import Pipeline


class Imagined(NamedTuple):
    """Imagined and real continuations of the same starts."""

    known: UInt8[Tensor, "starts channels height width"]
    """The last known frame of each start."""
    made: UInt8[Tensor, "starts actions channels steps height width"]
    """Imagined frames."""
    real: UInt8[Tensor, "starts actions channels steps height width"]
    """The engine's frames."""
    there: Bool[Tensor, "starts actions steps"]
    """False for real frames after the end of an episode."""
    poses: Float[Tensor, "starts actions time values"]
    """The engine's poses at the last known frame and at each frame after it."""
    held: tuple[int, ...]
    """The number of each action."""
    names: tuple[str, ...]
    """The name of each action."""

    def clips(self, frames: Tensor) -> UInt8[Tensor, "starts actions channels time height width"]:
        """Continuations with the last known frame in front."""
        known = self.known[:, None, :, None].expand(-1, frames.shape[1], -1, -1, -1, -1)
        return torch.cat([known, frames], 3)


def imagine_held(
    pipeline: Pipeline,
    episodes: Episodes,
    rollouts: Rollouts,
    starts: Sequence[Start],
    actions: Sequence[str],
    *,
    context: int,
    seed: int = 0,
) -> Imagined:
    """Imagine as many frames as the rollouts have, after every start, with each action held.

    Args:
        pipeline: a model with a prior over frames that takes actions.
        episodes: held-out episodes.
        rollouts: the engine's frames for ``starts`` and ``actions``.
        starts: see ``vqvae.data.spread_starts``.
        actions: names of actions.
        context: number of known frames.
        seed: seed of the imagination.

    Raises:
        ConfigError: if an action is unknown, or a start lies outside its episode.
        DataError: if a start has fewer known frames than ``context``, or the episodes have no actions.
    """
    steps = rollouts.frames.shape[2]
    held = check_starts(episodes, starts, actions, steps)
    if episodes.actions is None or min(known for _, known in starts) < context:
        raise DataError(f"Imagination needs episodes with actions, and {context} known frames before each start. Choose later starts.")
    ends = [int(episodes.starts[number]) + known for number, known in starts]
    frames = torch.from_numpy(np.stack([episodes.frames[end - context : end] for end in ends])).transpose(1, 2)
    before = torch.from_numpy(np.stack([episodes.actions[end - context : end - 1] for end in ends])).long()
    made = [pipeline.imagine(frames, torch.full((len(ends), steps), action), before=before, seed=seed) for action in held]
    now = rollouts.poses.shape[3]
    first = np.zeros((len(ends), now), np.float32) if episodes.poses is None else np.stack([episodes.poses[end - 1] for end in ends])
    poses = np.concatenate([np.repeat(first[:, None, None], len(held), 1), np.asarray(rollouts.poses)], 2)
    there = np.arange(steps) < np.asarray(rollouts.lengths)[:, :, None]
    return Imagined(
        known=frames[:, :, -1],
        made=torch.stack(made, 1),
        real=torch.from_numpy(np.array(rollouts.frames)).transpose(2, 3),
        there=torch.from_numpy(there),
        poses=torch.from_numpy(poses),
        held=tuple(held),
        names=tuple(actions),
    )


def actions_named(classifier: InverseDynamics, clips: Tensor, held: Sequence[int], there: Tensor) -> list[float]:
    """For each action, the share of its steps at which the classifier names it, out of all held actions.

    Args:
        classifier: trained on real frames.
        clips: (starts, actions, channels, time, height, width), the last known frame first.
        held: the number of each action.
        there: (starts, actions, time - 1), False for steps that do not count.
    """
    found = [classifier.predict(clips[:, column], held) == action for column, action in enumerate(held)]
    return [float(right[there[:, column]].float().mean()) for column, right in enumerate(found)]


def score_actions(imagined: Imagined, classifier: InverseDynamics) -> dict[str, Any]:
    """``action_named`` and ``action_named_real``: the share of steps at which the classifier names the held action, in imagined and in
    real rollouts, walls included; also for each action. Steps after the end of an episode do not count."""
    scores: dict[str, Any] = {}
    for key, frames in (("action_named", imagined.made), ("action_named_real", imagined.real)):
        each = actions_named(classifier, imagined.clips(frames), imagined.held, imagined.there)
        scores[key] = float(np.mean(each))
        scores |= {f"{key}_{name}": share for name, share in zip(imagined.names, each, strict=True)}
    return scores


def score_distances(imagined: Imagined, features: Features, reconstructed: Tensor | None = None, name: str = "frechet") -> dict[str, Any]:
    """Fréchet distances from the real frames at each step: of imagined frames, of the last known frame, and of reconstructions of the real
    frames if they are given. For comparison, also the distance between two halves of the real rollouts.

    ``frechet_ratio_step_N`` is the distance at the last step N, divided by that at step 1. ``frechet_share_of_copy_step_N`` is the distance
    at step N, divided by that of the last known frame. Rollouts whose episode ended do not count.

    Args:
        imagined: the rollouts.
        features: ``InverseDynamics.appearance`` or ``InverseDynamics.motion``.
        reconstructed: reconstructions of ``imagined.real``.
        name: the first word of the scores.
    """
    whole = imagined.there.all(2)
    made, real = (imagined.clips(frames)[whole] for frames in (imagined.made, imagined.real))
    found = {
        name: distances_by_step(features, made, real),
        f"{name}_copy": distances_by_step(features, still(real), real),
        f"{name}_real": distances_by_step(features, *halves(real)),
    }
    if reconstructed is not None:
        found[f"{name}_reconstructed"] = distances_by_step(features, imagined.clips(reconstructed)[whole], real)
    first, final, copied, steps = found[name][0], found[name][-1], found[f"{name}_copy"][-1], len(found[name])
    scores: dict[str, Any] = {f"{key}_by_step": each for key, each in found.items()}
    scores[f"{name}_ratio_step_{steps}"] = final / first if first else None
    scores[f"{name}_share_of_copy_step_{steps}"] = final / copied if copied else None
    return scores | {"rollouts": len(real), "warnings": list(too_few(len(real)))}


def score_rotation(imagined: Imagined, calibration: Calibration, angle: int) -> dict[str, float]:
    """For each action, the mean rotation per step in degrees, counterclockwise: of imagined frames, of real frames by the same measure,
    and by the engine.

    Args:
        imagined: the rollouts.
        calibration: fitted to real frames of the same world.
        angle: the place of the angle in a pose.
    """
    scores = {}
    engine = turned(imagined.poses[..., angle])
    for column, name in enumerate(imagined.names):
        there = imagined.there[:, column]
        scores[f"rotation_engine_{name}"] = float(engine[:, column][there].mean())
        for key, frames in (("rotation", imagined.made), ("rotation_real", imagined.real)):
            clips = imagined.clips(frames)[:, column].transpose(1, 2)
            degrees = calibration.rotation(clips[:, :-1].flatten(0, 1), clips[:, 1:].flatten(0, 1)).view(there.shape)
            scores[f"{key}_{name}"] = float(degrees[there].mean())
    return scores


def score_positions(imagined: Imagined, places: tuple[int, int]) -> dict[str, Any]:
    """The share of rollouts of Crafter whose imagined position is the engine's, ``position_right_step_N``: after the last step whose cells
    were in view at the start, and after the last step of all.

    Only rollouts count in which the engine moves the player at all N steps, and in which the real frames show it: if only grass is in view,
    no step can be seen. ``position_seen_step_N`` is the share of the moved rollouts that show it. Scores are None if no rollouts count.

    Of the rollouts that move in view, ``position_free_step_N`` is the share that the engine moves at all N steps. Nobody can know what is
    beyond the view, so even a perfect model is right only about as often.

    Args:
        imagined: rollouts of Crafter.
        places: the places in a pose of the cells to the right and of the cells down.
    """
    positions: Int[Tensor, "starts actions time 2"] = imagined.poses[..., list(places)].round().long()
    moved = (positions.diff(dim=2).ne(0).any(3) & imagined.there).cumprod(2).bool()
    scores: dict[str, Any] = {}
    for steps in sorted({min(IN_VIEW, moved.shape[2]), moved.shape[2]}):
        rows = moved[:, :, steps - 1]
        right = seen = torch.zeros(0)
        if rows.any():
            real, made = (imagined.clips(frames)[rows][:, :, : steps + 1] for frames in (imagined.real, imagined.made))
            there = positions[rows][:, : steps + 1]
            seen = positions_right(real, there)[:, -1]
            right = positions_right(made, there)[:, -1][seen]
        scores |= {
            f"position_rollouts_step_{steps}": len(right),
            f"position_right_step_{steps}": _share(right),
            f"position_seen_step_{steps}": _share(seen),
        }
        if steps > IN_VIEW:
            scores[f"position_free_step_{steps}"] = _share(rows[moved[:, :, IN_VIEW - 1]])
    return scores


def _share(right: Tensor) -> float | None:
    return float(right.float().mean()) if len(right) else None
