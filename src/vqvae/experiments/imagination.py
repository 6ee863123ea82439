"""E10 [VQVAE §4.4]: a world model in codes that obeys its actions, scored against the engine.

RUN/                    a tokenizer of frames and a prior over frames, given actions
RUN/without-actions/    the same prior, trained equally long without actions
RUN/single-frames/      the same prior, trained equally long on single frames
RUN/probes/             a classifier of the action between two real frames
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vqvae.data import in_order, spread_starts
from vqvae.data.base import Splits
from vqvae.data.episodes import ClipsDataset
from vqvae.data.loader import spread_indices
from vqvae.errors import ConfigError
from vqvae.evaluation.likelihood.bootstrap import compare
from vqvae.evaluation.probes.dynamics import InverseDynamics, InverseDynamicsConfig
from vqvae.evaluation.video.bits import coded_episodes, first_frame_bits, frame_bits, shifted_bits
from vqvae.evaluation.video.copying import CopyPrior
from vqvae.evaluation.video.rollouts import Imagined, imagine_held, score_actions, score_distances, score_positions, score_rotation
from vqvae.evaluation.video.rotation import calibrate_frames, turned
from vqvae.evaluation.video.scores import CONTEXT, IMAGINED
from vqvae.experiments.base import Job, Scale
from vqvae.media.images import write_png
from vqvae.pipeline import PRIOR, TOKENIZER, Pipeline, load
from vqvae.priors import WorldPrior
from vqvae.recipes import RECIPES
from vqvae.recipes.base import cosine
from vqvae.reports.grids import labelled_rows
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.runs.defaults import prior_config
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import recipe_of, stored_config, stored_data, trained_seconds
from vqvae.runs.stages import in_clips, train_part, train_prior, train_tokenizer
from vqvae.training import TrainConfig
from vqvae.training.machine import pick_device

WITHOUT_ACTIONS, SINGLE, PROBES = "without-actions", "single-frames", "probes"
RECIPE = "worlds-video"
ROLLOUTS: dict[Scale, int] = {"cpu": 512, "paper": 2_048}
"""Rollouts, over all actions."""
PROBE_STEPS, CALIBRATED = 3_000, 2_000
"""Training steps of the classifier of actions; pairs of real frames for the calibration of rotation."""
NOTES = """![imagined frames]({name}-imagined.png)

After {context} known frames, an action is held. The model draws the codes of all further frames and then decodes them. Each strip of
imagined frames is followed by the engine's own frames after the same start and action.

- `action_named`: the share of imagined steps at which a classifier, trained on real frames, names the held action. `…_real` is the same
  for the engine's frames, walls included, and `…_held_out` for single steps of held-out episodes.
- `bits_per_frame`: the cost of the codes of a held-out frame. `…_single` is that of a prior of single frames, `…_without_actions` that of
  the same prior without actions, `…_copy` that of a prior that copies codes or draws them by frequency, `…_shifted_…` that with each
  action replaced by the one before or after. `bits_saved_over_…` has the 95 % interval over resampled episodes.
- `frechet_ratio_step_N`: the Fréchet distance of imagined from real frames at step N, divided by that at step 1.
- `rotation_…`: degrees per step, from the movement of the picture, calibrated on real frames."""


def reproduce_imagination(job: Job) -> dict[str, Any]:
    """E10: train the missing parts, imagine, and write ``results/NAME.md``, ``NAME.json`` and strips. Parts that are finished are used as
    they are, whatever their settings.

    Raises:
        ConfigError: if the run's data has no actions or cannot be rolled out, or its prior takes no actions.
        VqvaeError: on an interruption, or if the folder holds another training. The same call resumes.
    """
    train_missing(job)
    device = pick_device(job.options.device)
    pipeline, splits = load(job.run, device), stored_data(job.run)
    data: Any = stored_config(job.run).data
    held_out = splits.held_out
    if not isinstance(held_out, ClipsDataset) or not hasattr(data, "rollouts") or not getattr(pipeline.prior, "actions", 0):
        raise ConfigError(f"{job.run} has no engine and actions to compare imagination with. Train a recipe such as {RECIPE}.")
    classifier = train_classifier(job, splits).to(device).eval()
    metrics = score_bits(job, pipeline) | score_held_out(classifier, held_out)
    names = held_out.action_names
    starts = spread_starts(held_out.episodes, max(2, ROLLOUTS[job.scale] // len(names)), CONTEXT)
    real = data.rollouts(starts, names, IMAGINED)
    imagined = imagine_held(pipeline, held_out.episodes, real, starts, names, context=CONTEXT)
    again = pipeline.reconstruct(imagined.real.flatten(0, 1)).view(imagined.real.shape)
    metrics |= score_actions(imagined, classifier) | score_distances(imagined, classifier.features, again)
    metrics |= score_poses(imagined, held_out)
    write_png(job.results / f"{job.name}-imagined.png", strips(imagined))
    return tabulate_imagination(job, metrics)


def train_missing(job: Job) -> None:
    """Train the tokenizer and the prior, unless they are finished."""
    if not (job.run / TOKENIZER / "weights.safetensors").exists():
        train_tokenizer(RECIPES[RECIPE].tokenizer(job.data), job.options, job.run, recipe=RECIPE, scored=False)
    if not (job.run / PRIOR / "weights.safetensors").exists():
        train_prior(prior_config(job.run), job.options, job.run, scored=False)


def train_other(job: Job, stage: str, **changes: Any) -> WorldPrior:
    """The run's prior with other settings, trained equally long, or loaded."""
    config = stored_config(job.run, PRIOR)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, **changes))
    prior = train_part(config, in_clips(read_codes(job.run), config.model.build()), job.options, job.run, stage, recipe=recipe_of(job.run))
    assert isinstance(prior, WorldPrior)
    return prior.to(pick_device(job.options.device)).eval()


def train_classifier(job: Job, splits: Splits) -> InverseDynamics:
    """The classifier of actions, trained on pairs of real frames, or loaded."""
    assert isinstance(splits.train, ClipsDataset) and isinstance(splits.held_out, ClipsDataset)
    sides = [ClipsDataset(side.episodes, 2, f"{side.name}-pairs") for side in (splits.train, splits.held_out)]
    config = InverseDynamicsConfig(actions=len(splits.train.action_names), channels=splits.train.signal.channels)
    training = TrainConfig(model=config, steps=PROBE_STEPS, batch_size=32, optimizer=cosine(2e-3), evaluate_every=PROBE_STEPS // 2)
    classifier = train_part(training, Splits(*sides), job.options, job.run / PROBES, "actions", recipe=PROBES)
    assert isinstance(classifier, InverseDynamics)
    return classifier


def score_bits(job: Job, pipeline: Pipeline) -> dict[str, Any]:
    """Bits per held-out frame under the prior and under simpler ones."""
    prior, device, codes = pipeline.prior, pipeline.device, read_codes(job.run)
    assert isinstance(prior, WorldPrior) and pipeline.unigram is not None
    copying = CopyPrior(pipeline.unigram)
    for batch in in_order(codes.train, 16):
        copying.count(batch.x, batch.mask)
    copying.fit()
    bare, single = train_other(job, WITHOUT_ACTIONS, actions=0), train_other(job, SINGLE, actions=0, clip_length=1)
    episodes = list(coded_episodes(codes.held_out))
    costs = {
        "": [frame_bits(prior.code_log_probs, one, device) for one in episodes],
        "_without_actions": [frame_bits(bare.code_log_probs, one, device) for one in episodes],
        "_single": [first_frame_bits(single.code_log_probs, one, device) for one in episodes],
        "_copy": [frame_bits(copying.code_log_probs, one, device) for one in episodes],
    }
    scores: dict[str, Any] = {f"bits_per_frame{name}": float(torch.cat(each).mean()) for name, each in costs.items()}
    for name in ("_without_actions", "_single", "_copy"):
        found = compare(costs[name], costs[""])
        scores |= {f"bits_saved_over{name}": found.mean, f"bits_saved_over{name}_interval": [found.low, found.high]}
    shifted = shifted_bits(prior.code_log_probs, episodes, device)
    return scores | {"bits_per_frame_shifted_before": shifted[-1], "bits_per_frame_shifted_after": shifted[1]}


def score_held_out(classifier: InverseDynamics, held_out: ClipsDataset) -> dict[str, float]:
    """The share of held-out steps whose action the classifier names."""
    pairs = ClipsDataset(held_out.episodes, 2, "pairs")
    right = [classifier.predict(batch.x)[:, 0] == batch.condition.actions[:, 0] for batch in in_order(pairs, 64)]
    return {"action_named_held_out": float(torch.cat(right).float().mean())}


def score_poses(imagined: Imagined, held_out: ClipsDataset) -> dict[str, Any]:
    """Rotation if the engine gives angles, and positions if it is Crafter."""
    names, poses = held_out.episodes.pose_names, held_out.episodes.poses
    if "player_pos_0" in names:
        return score_positions(imagined, (names.index("player_pos_0"), names.index("player_pos_1")))
    if "angle" not in names or poses is None:
        return {}
    pairs, angle = ClipsDataset(held_out.episodes, 2, "pairs"), names.index("angle")
    indices = spread_indices(pairs, CALIBRATED)
    first = np.array([held_out.episodes.starts[number] + frame for number, frame in map(pairs.place, indices.tolist())])
    x, angles = pairs.batch(indices).x, torch.from_numpy(np.stack([poses[first, angle], poses[first + 1, angle]], 1))
    line = calibrate_frames(x[:, :, 0], x[:, :, 1], turned(angles)[:, 0])
    fitted = {"rotation_r_squared": line.r_squared, "rotation_median_error": line.error}
    return fitted | score_rotation(imagined, line, angle)


def strips(imagined: Imagined) -> np.ndarray:
    """The first start: imagined and real frames for each action."""
    rows = {}
    for column, name in enumerate(imagined.names):
        rows[f"{name}, imagined"] = imagined.made[0, column].transpose(0, 1)
        rows[f"{name}, real"] = imagined.real[0, column].transpose(0, 1)
    return labelled_rows(rows)


def tabulate_imagination(job: Job, metrics: dict[str, Any]) -> dict[str, Any]:
    """Write the table and its JSON."""
    stages: Sequence[str] = (TOKENIZER, PRIOR, WITHOUT_ACTIONS, SINGLE)
    seconds = {stage: trained_seconds(job.run, stage) for stage in stages}
    shown = {key: value for key, value in metrics.items() if not isinstance(value, list)}
    return write_results(
        *(Path(job.results), job.name),
        title=job.title,
        command=this_command(),
        columns=("measure, on held-out data", "ours"),
        rows=[(key, in_words(value)) for key, value in shown.items()],
        values={**metrics, "seconds_by_stage": seconds},
        seconds=sum(seconds.values()),
        steps=sum(stored_config(job.run, stage).steps for stage in stages),
        notes=NOTES.format(name=job.name, context=CONTEXT),
        device=pick_device(job.options.device),
    )
