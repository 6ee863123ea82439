"""E10 [VQVAE §4.4]: world models that obey actions, purely in codes, scored against the engines.

RUN/                    a tokenizer of frames and a prior over frames, given actions
RUN/with-actions/       the same prior, trained for as many steps as the next two
RUN/without-actions/    the same prior without actions
RUN/single-frames/      the same prior, of single frames
RUN/priors/masked/      a prior that draws a frame in a few passes
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
from vqvae.evaluation.video.strips import CONTEXT, IMAGINED
from vqvae.experiments.base import Job, Scale
from vqvae.media.images import write_png
from vqvae.pipeline import PRIOR, TOKENIZER, Pipeline, load
from vqvae.priors import MaskedPriorConfig, SamplingPrior, WorldPrior
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

WITH_ACTIONS, WITHOUT_ACTIONS, SINGLE, PROBES = "with-actions", "without-actions", "single-frames", "probes"
WORLDS, CRAFTER = "worlds-video", "crafter"
"""The recipes. Their names are also those of the run folders."""
HELD = {WORLDS: ("forward", "left", "right"), CRAFTER: ("move_left", "move_right", "move_up", "move_down")}
"""The actions that are held. Each other action of the worlds is two of these at once, and a wall in front hides the difference."""
ROLLOUTS: dict[Scale, int] = {"cpu": 512, "paper": 2_048}
"""The number of rollouts, over all actions."""
COMPARED_STEPS: dict[Scale, int | None] = {"cpu": 600, "paper": None}
"""Training steps of the priors that are compared with each other. None: those of the run's prior."""
MASKED, MASKED_STEPS = "masked", 2_500
"""The name of the masked prior, and its training steps at CPU scale."""
PROBE_STEPS, CALIBRATED = 3_000, 2_000
"""Training steps of the classifier of actions, and the number of pairs of real frames for the calibration of rotation."""
NOTES = """![imagined frames of ViZDoom]({name}-worlds-video.png)

![imagined frames of Crafter]({name}-crafter.png)

After {context} known frames, an action is held. The model draws the codes of all further frames and then decodes them. Each strip of
imagined frames is followed by the engine's own frames after the same start and action.

- `action_named`: the share of imagined steps at which a classifier, trained on real frames, names the held action out of all held actions.
  `…_real` is the same for the engine's frames, walls included. `…_held_out` is the same for single steps of held-out episodes.
- `bits_per_frame`: the cost of the codes of a held-out frame. `…_copy` is the cost under a prior that copies codes or draws them by
  frequency. `…_shifted_…` is the cost if each action is replaced by the one before or after.
- `bits_per_frame_compared`, `…_without_actions` and `…_single` (a prior of single frames) belong to three priors that were trained for
  {compared} each. `bits_saved_over_…` has its 95 % interval over resampled episodes.
- `frechet_ratio_step_N`: the Fréchet distance of imagined from real frames at step N, divided by that at step 1.
  `frechet_share_of_copy_step_N`: the same distance, divided by that of the last known frame, repeated. The features describe single frames,
  so a repeated frame looks as real as any other. The features of `frechet_motion_…` describe how a frame follows the one before it.
- `rotation_…`: degrees per step, from the movement of the picture, calibrated on real frames.
- `masked_…`: the same for a prior that draws a frame in 8 passes (`MaskedPrior`). `masked_frechet_over_frechet` compares both at step 10.
- `position_right_step_N`: the share of rollouts of Crafter in which the player is where the engine has it, after N steps that all move it.
  The cells of the first 3 steps are in view at the start; those of later steps are not. `position_free_step_N`: of the rollouts that move
  for 3 steps, the share that moves for N steps in the engine. A perfect model would imagine a free way about as often."""


def reproduce_imagination(job: Job) -> dict[str, Any]:
    """E10: train the missing parts for both worlds, imagine, and write ``results/NAME.md``, ``NAME.json`` and strips. Finished parts are
    used as they are, whatever their settings.

    Raises:
        ConfigError: if the run's data has no actions or no engine, or its prior takes no actions.
        MissingExtraError: if an engine is not installed.
        VqvaeError: on an interruption, or if the folder belongs to another training. The same call resumes.
    """
    found = {name: score_world(dataclasses.replace(job, run=job.run.with_name(name)), name) for name in (WORLDS, CRAFTER)}
    return tabulate_imagination(job, found)


def score_world(job: Job, name: str) -> dict[str, Any]:
    """Train the missing parts of one world, imagine, and score."""
    train_missing(job, name)
    device = pick_device(job.options.device)
    pipeline, splits = load(job.run, device), stored_data(job.run)
    data: Any = stored_config(job.run).data
    held_out = splits.held_out
    if not isinstance(held_out, ClipsDataset) or not hasattr(data, "rollouts") or not getattr(pipeline.prior, "actions", 0):
        raise ConfigError(f"{job.run} has no engine and actions to compare imagination with. Train the recipe {name}.")
    classifier = train_classifier(job, splits).to(device).eval()
    metrics = score_bits(job, pipeline)
    if name == WORLDS:
        metrics |= compare_priors(job, device)
    names = HELD[name]
    metrics |= score_held_out(classifier, held_out, names)
    starts = spread_starts(held_out.episodes, max(2, -(-ROLLOUTS[job.scale] // len(names))), CONTEXT)
    real = data.rollouts(starts, names, IMAGINED)
    imagined = imagine_held(pipeline, held_out.episodes, real, starts, names, context=CONTEXT)
    again = pipeline.reconstruct(imagined.real.flatten(0, 1)).view(imagined.real.shape)
    metrics |= score_actions(imagined, classifier) | distances(imagined, classifier, again)
    metrics |= score_poses(imagined, held_out)
    if name == WORLDS:
        train_masked(job)
        quick = imagine_held(load(job.run, device, prior=MASKED), held_out.episodes, real, starts, names, context=CONTEXT)
        found = score_actions(quick, classifier) | distances(quick, classifier)
        ratios = [f"{name}_ratio_step_{IMAGINED}" for name in ("frechet", "frechet_motion")]
        metrics |= {f"masked_{key}": found[key] for key in ("action_named", *ratios)}
        for key in ("frechet", "frechet_motion"):
            metrics[f"masked_{key}_over_{key}"] = found[f"{key}_by_step"][-1] / metrics[f"{key}_by_step"][-1]
    write_png(job.results / f"{job.name}-{name}.png", strips(imagined))
    return metrics


def train_missing(job: Job, name: str) -> None:
    """Train the tokenizer and the prior of a recipe, unless they are finished."""
    if not (job.run / TOKENIZER / "weights.safetensors").exists():
        train_tokenizer(RECIPES[name].tokenizer(job.data), job.options, job.run, recipe=name, scored=False)
    if not (job.run / PRIOR / "weights.safetensors").exists():
        train_prior(prior_config(job.run), job.options, job.run, scored=False)


def train_masked(job: Job) -> None:
    """Train a prior that draws frames in a few passes, unless it is finished."""
    config = stored_config(job.run, PRIOR)
    names = ("codebook_size", "num_codebooks", "actions", "memory", "reach", "overview", "clip_length")
    shared = {name: getattr(config.model, name) for name in names}
    steps = MASKED_STEPS if job.scale == "cpu" else config.steps
    config = dataclasses.replace(config, model=MaskedPriorConfig(**shared), steps=steps)
    train_prior(config, job.options, job.run, name=MASKED, scored=False)


def train_other(job: Job, stage: str, **changes: Any) -> WorldPrior:
    """The run's prior with other settings, trained for ``COMPARED_STEPS``, or loaded."""
    config = stored_config(job.run, PRIOR)
    model = dataclasses.replace(config.model, **changes)
    config = dataclasses.replace(config, model=model, steps=COMPARED_STEPS[job.scale] or config.steps)
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
    """Bits per held-out frame under the prior, under the copy prior, and with shifted actions."""
    prior, device, codes = pipeline.prior, pipeline.device, read_codes(job.run)
    assert isinstance(prior, SamplingPrior) and pipeline.unigram is not None
    copying = CopyPrior(pipeline.unigram)
    for batch in in_order(codes.train, 16):
        copying.count(batch.x, batch.mask)
    copying.fit()
    episodes = list(coded_episodes(codes.held_out))
    ours = [frame_bits(prior.code_log_probs, one, device) for one in episodes]
    copied = [frame_bits(copying.code_log_probs, one, device) for one in episodes]
    shifted = shifted_bits(prior.code_log_probs, episodes, device)
    return {
        "bits_per_frame": mean(ours),
        "bits_per_frame_copy": mean(copied),
        **saved("copy", copied, ours),
        "bits_per_frame_shifted_before": shifted[-1],
        "bits_per_frame_shifted_after": shifted[1],
    }


def compare_priors(job: Job, device: torch.device) -> dict[str, Any]:
    """Bits per held-out frame under three priors that were trained for the same number of steps."""
    whole, bare = train_other(job, WITH_ACTIONS), train_other(job, WITHOUT_ACTIONS, actions=0)
    single = train_other(job, SINGLE, actions=0, clip_length=1)
    episodes = list(coded_episodes(read_codes(job.run).held_out))
    ours = [frame_bits(whole.code_log_probs, one, device) for one in episodes]
    others = {
        "without_actions": [frame_bits(bare.code_log_probs, one, device) for one in episodes],
        "single": [first_frame_bits(single.code_log_probs, one, device) for one in episodes],
    }
    scores = {"bits_per_frame_compared": mean(ours)}
    for name, costs in others.items():
        scores |= {f"bits_per_frame_{name}": mean(costs), **saved(name, costs, ours)}
    return scores


def mean(costs: Sequence[torch.Tensor]) -> float:
    """The mean over the frames of all episodes."""
    return float(torch.cat(list(costs)).mean())


def saved(name: str, costs: Sequence[torch.Tensor], ours: Sequence[torch.Tensor]) -> dict[str, Any]:
    """How many bits per frame ours save, with the interval over resampled episodes."""
    found = compare(costs, ours)
    return {f"bits_saved_over_{name}": found.mean, f"bits_saved_over_{name}_interval": [found.low, found.high]}


def score_held_out(classifier: InverseDynamics, held_out: ClipsDataset, names: Sequence[str]) -> dict[str, float]:
    """Of the held-out steps with one of these actions, the share for which the classifier names it out of them."""
    among = [held_out.action_names.index(name) for name in names]
    right = []
    for batch in in_order(ClipsDataset(held_out.episodes, 2, "pairs"), 64):
        assert batch.condition.actions is not None, "checked by score_world"
        taken = batch.condition.actions[:, 0]
        asked = torch.isin(taken, torch.tensor(among))
        right.append(classifier.predict(batch.x[asked], among)[:, 0] == taken[asked])
    return {"action_named_held_out": float(torch.cat(right).float().mean())}


def distances(imagined: Imagined, classifier: InverseDynamics, reconstructed: torch.Tensor | None = None) -> dict[str, Any]:
    """Fréchet distances of how frames look, and of how they follow each other."""
    looks = score_distances(imagined, classifier.appearance, reconstructed)
    return looks | score_distances(imagined, classifier.motion, reconstructed, "frechet_motion")


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


def tabulate_imagination(job: Job, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Write the table of both worlds and its JSON."""
    runs = {name: job.run.with_name(name) for name in found}
    stages: Sequence[str] = (TOKENIZER, PRIOR, WITH_ACTIONS, WITHOUT_ACTIONS, SINGLE)
    trained = [(run, stage) for run in runs.values() for stage in stages if (run / stage).exists()]
    seconds = {f"{run.name}/{stage}": trained_seconds(run, stage) for run, stage in trained}
    keys = [key for key in {**found[WORLDS], **found[CRAFTER]} if not isinstance(found[WORLDS].get(key, found[CRAFTER].get(key)), list)]
    position = f"position_right_step_{IMAGINED}"
    steps = COMPARED_STEPS[job.scale]
    length = "as many steps as the first" if steps is None else f"{steps:,} steps"
    return write_results(
        *(Path(job.results), job.name),
        title=job.title,
        command=this_command(),
        columns=("measure, on held-out data", "ViZDoom", "Crafter"),
        rows=[(key, *(in_words(each[key]) if key in each else "" for each in found.values())) for key in keys],
        values={**found[WORLDS], position: found[CRAFTER].get(position), CRAFTER: found[CRAFTER], "seconds_by_stage": seconds},
        seconds=sum(seconds.values()),
        steps=sum(stored_config(run, stage).steps for run, stage in trained),
        notes=NOTES.format(name=job.name, context=CONTEXT, compared=length),
        device=pick_device(job.options.device),
    )
