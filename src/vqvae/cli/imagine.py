"""``vqvae imagine RUN``."""

import math
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

import torch
from torch import Tensor

from vqvae import pipeline
from vqvae.building import check_memory
from vqvae.cli.arguments import note, parse
from vqvae.cli.values import Device, File, Name, Run
from vqvae.config import SEED, settings
from vqvae.data.episodes import ClipsDataset
from vqvae.data.videos import read_actions
from vqvae.disk import check_outputs, user_path
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import FRAME_RATE, VIDEO, kind_of, whole
from vqvae.evaluation.video.strips import CONTEXT, IMAGINED
from vqvae.generation.imagination import action_numbers
from vqvae.media.video import WRITTEN, write_video
from vqvae.pipeline import Pipeline, check_frames
from vqvae.runs.folder import stored_data
from vqvae.training.machine import pick_device
from vqvae.words import counted

_LEAST = 64
"""The least memory of a frame, in bytes."""
_DIGITS = 9
"""The largest number of digits in the number of an episode. A longer number is the name of a file."""


@settings
class Arguments:
    run: Run
    """A run folder with a trained prior over frames."""
    out: File
    """The file to write: NAME.gif, NAME.mp4, NAME.webm, NAME.png (a strip of frames) or NAME.npy. Several rollouts become NAME-0.gif and
    so on."""
    start: str = field(default="0", metadata={"value": "FILE|N"})
    """The frames to start from: a video file or .npy file, or the number of a held-out episode of the run, from 0."""
    at: int = 0
    """The number of the first frame to use, from 0."""
    action: tuple[str, ...] = field(default=(), metadata={"value": "NAME ..."})
    """The action to hold, or one action per imagined frame. Default: the first action of the model."""
    actions: str | None = field(default=None, metadata={"value": "FILE"})
    """A file with one action per line, as text or JSON."""
    frames: int = IMAGINED
    """Number of frames to imagine."""
    context: int = CONTEXT
    """Number of known frames before the imagined ones."""
    count: int = 1
    """Number of rollouts from the same start."""
    known: bool = True
    """Whether the video begins with the known frames."""
    seed: int = field(default=0, metadata=SEED)
    """The same seed gives the same rollouts."""
    temperature: float = 1.0
    """Divides the logits of the codes. Below 1, likely codes become more likely. 0: always the most likely code."""
    top_k: int | None = None
    """Draw only from the k most likely codes. Default: all codes."""
    top_p: float | None = None
    """Draw only from the most likely codes that together have this share of the probability, from 0 to 1. Default: all codes."""
    frame_rate: float | None = None
    """Frames per second of the file. Default: that of the data, or 10."""
    prior_name: Name = None
    """Name of the prior, if the run has several. Default: the prior without a name, or the only one."""
    overwrite: bool = False
    """Replace existing files."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Imagine what follows the start, and write it as a video."""
    chosen = parse(Arguments, "imagine", arguments, "Imagine the frames that follow a start, given actions.")
    if min(chosen.frames, chosen.context, chosen.count) < 1 or chosen.at < 0:
        given = f"--frames {chosen.frames} --context {chosen.context} --count {chosen.count} --at {chosen.at}"
        raise ConfigError(f"{given}: the first three must be at least 1, and --at at least 0.")
    if chosen.out.suffix.lower() not in WRITTEN:
        raise ConfigError(f"--out is {str(chosen.out)!r}; expected a file that ends in {', '.join(WRITTEN)}.")
    if chosen.frame_rate is not None and not 0 < chosen.frame_rate <= 1000:
        raise ConfigError(f"--frame-rate is {chosen.frame_rate:g}; it must be above 0 and at most 1000.")
    model = pipeline.load(chosen.run, pick_device(chosen.device), prior=chosen.prior_name)
    if kind_of(model.signal) is not VIDEO:
        raise ConfigError(f"{chosen.run} is a model of {kind_of(model.signal).name}, but only models of clips can imagine.")
    pixels = model.signal.channels * math.prod(model.size[1:] if model.size else (1, 1))
    frames = chosen.count * (chosen.frames + chosen.context)
    check_memory(frames * max(pixels, _LEAST), f"A rollout of {frames:,} frames")
    places = [chosen.out] if chosen.count == 1 else [chosen.out.with_stem(f"{chosen.out.stem}-{i}") for i in range(chosen.count)]
    check_outputs(places, inputs_of(chosen), overwrite=chosen.overwrite)
    known, before = start_of(chosen, model)
    names = model.card.action_names
    takes = getattr(model.prior, "actions", 0)
    made = model.imagine(
        known,
        plan_of(chosen, names) if takes or chosen.action or chosen.actions else (),
        before=before if takes else None,
        steps=None if takes else chosen.frames,
        count=chosen.count,
        seed=chosen.seed,
        temperature=chosen.temperature,
        top_k=chosen.top_k,
        top_p=chosen.top_p,
    )
    rate = chosen.frame_rate or model.signal.sample_rate or FRAME_RATE
    for place, rollout in zip(places, made, strict=True):
        shown = torch.cat([known[0], rollout], 1) if chosen.known else rollout
        write_video(place, shown.transpose(0, 1).numpy(), rate)
    note(f"{', '.join(map(str, places))}: {counted(chosen.frames, 'imagined frames')} after {counted(chosen.context, 'known frames')}.")
    return 0


def inputs_of(chosen: Arguments) -> list[Path]:
    """The files that are read: the start, unless it is the number of an episode, and the file of actions."""
    files = [] if _is_episode(chosen.start) else [chosen.start]
    return [user_path(file, DataError) for file in (*files, *([] if chosen.actions is None else [chosen.actions]))]


def _is_episode(start: str) -> bool:
    return start.isdecimal() and len(start) <= _DIGITS


def start_of(chosen: Arguments, model: Pipeline) -> tuple[Tensor, Tensor | None]:
    """The known frames (1, channels, time, height, width), and the actions between them; None if these are unknown.

    Raises:
        ConfigError: if there is no such episode, or it has too few frames.
        DataError: if a file cannot be read or has too few frames.
    """
    stop = chosen.at + chosen.context
    if not _is_episode(chosen.start):
        clip = whole(VIDEO.read(Path(chosen.start), model.signal))
        if len(clip) > 1:
            raise DataError(f"{chosen.start} has {len(clip)} clips; expected one. Save each clip in a file of its own.")
        if clip.shape[2] < stop:
            advice = "Give a longer clip, or lower --context or --at."
            raise DataError(f"{chosen.start} has too few frames ({clip.shape[2]}); --context and --at need {stop}. {advice}")
        check_frames(clip, model.size, chosen.start)
        return clip[:, :, chosen.at : stop], None
    held_out = stored_data(chosen.run).held_out
    if not isinstance(held_out, ClipsDataset):
        raise ConfigError(f"The held-out data of {chosen.run} has no episodes. Give a video file: --start FILE")
    episodes, number = held_out.episodes, int(chosen.start)
    if number >= len(episodes.names) or episodes.lengths[number] < stop:
        lengths = f"{counted(len(episodes.names), 'held-out episodes')} of {min(episodes.lengths)} to {max(episodes.lengths)} frames"
        raise ConfigError(
            f"--start {number} needs an episode of {stop} frames (--at plus --context). The run has {lengths}, numbered from 0. "
            "Lower --start, --at or --context."
        )
    first = episodes.frames_of(number).start + chosen.at
    rows = slice(first, first + chosen.context)
    frames = torch.from_numpy(episodes.frames[rows].copy()).transpose(0, 1)[None]
    actions = None if episodes.actions is None else torch.from_numpy(episodes.actions[rows].copy()).long()[None, :-1]
    return frames, actions


def plan_of(chosen: Arguments, names: tuple[str, ...]) -> list[str]:
    """One action for each imagined frame.

    Raises:
        ConfigError: if both --action and --actions are given, or there are neither one action nor one per frame.
        DataError: if the file cannot be read, has no actions, or has an unknown one.
    """
    given = list(chosen.action)
    if chosen.actions is not None:
        if given:
            raise ConfigError("--action and --actions are both given. Choose one.")
        given = _plan_in(user_path(chosen.actions, DataError), names)
    given = given or list(names[:1])
    if len(given) == 1:
        given *= chosen.frames
    if len(given) != chosen.frames:
        raise ConfigError(f"{len(given)} actions were given for {chosen.frames} frames. Give one to hold, or one per frame.")
    return given


def _plan_in(path: Path, names: tuple[str, ...]) -> list[str]:
    given = read_actions(path, is_plan=True)
    if not given:
        raise DataError(f"{path} has no actions. Give a file with one action per line.")
    if names:
        try:
            action_numbers(given, names, 1)
        except ConfigError as error:
            raise DataError(f"{path}: {error}") from error
    return given
