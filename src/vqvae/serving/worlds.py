"""Imagined worlds that clients play, and clips that models imagine."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.errors import ConfigError
from vqvae.generation.imagination import action_numbers
from vqvae.generation.playing import Play, memory_of
from vqvae.layers.autoregressive import Choice
from vqvae.pipeline import Pipeline, check_frames
from vqvae.serving.material import Start
from vqvae.serving.refusals import Refusal
from vqvae.serving.settings import ServeOptions
from vqvae.serving.wire import file_of, frame_of


def can_play(model: Pipeline) -> bool:
    """Whether frames can be drawn one by one: the prior remembers frames, and a code stands for a frame, whatever came before it."""
    return memory_of(model.prior) is not None and model.layout[0].stride[0] == 1 and not model.tokenizer.streams


@dataclass(kw_only=True)
class World:
    """A world that somebody plays."""

    play: Play
    model: Pipeline
    names: tuple[str, ...]
    used: float = field(default_factory=time.monotonic)

    def step(self, action: str | int | None) -> Tensor:
        """The next frame (1, channels, height, width).

        Raises:
            ConfigError: there is no such action.
        """
        codes = self.play.step(self.number(action))
        return _decoded(self.model, codes)

    def number(self, action: str | int | None) -> int:
        """The number of an action.

        Raises:
            ConfigError: there is no such action.
        """
        if not self.names and action is None:
            return 0
        if action is None:
            raise ConfigError(f"The action is missing; the actions are {', '.join(self.names)}.")
        return int(action_numbers(action, self.names, 1)[0, 0])


class Worlds:
    """The worlds of one model that are played now."""

    def __init__(self, options: ServeOptions, now: Callable[[], float] = time.monotonic) -> None:
        self._options, self._now = options, now
        self._open: dict[str, World] = {}

    def __len__(self) -> int:
        return len(self._open)

    def check(self) -> None:
        """Raise Refusal unless there is room for one more world."""
        self.expire()
        if len(self._open) >= self._options.worlds:
            raise Refusal(429, f"{len(self._open)} worlds are played already. Close one, or try again later.", 30)

    def add(self, world: World) -> str:
        """Keep a world under a name that nobody guesses."""
        self.check()
        name = secrets.token_urlsafe(16)
        world.used = self._now()
        self._open[name] = world
        return name

    def get(self, name: str) -> World:
        """The world of this name.

        Raises:
            Refusal: there is none, or it was closed.
        """
        self.expire()
        if name not in self._open:
            raise Refusal(404, "There is no such world; worlds that nobody plays are closed. Begin a new one.")
        self._open[name].used = self._now()
        return self._open[name]

    def close(self, name: str) -> None:
        """Forget a world.

        Raises:
            Refusal: there is none.
        """
        self.get(name)
        del self._open[name]

    def expire(self) -> None:
        """Forget the worlds that nobody has played for a while."""
        until = self._now() - self._options.world_seconds
        for name in [name for name, world in self._open.items() if world.used < until]:
            del self._open[name]


def begun(model: Pipeline, start: Start, names: tuple[str, ...], seed: int, choice: Choice) -> World:
    """A world that begins with known frames.

    Raises:
        ConfigError: the model cannot be played.
        DataError: the frames are not what the model takes.
    """
    assert model.prior is not None
    check_frames(start.frames, model.size)
    known = model.encode_batch(Batch(start.frames)).tensor
    return World(play=Play(model.prior, known, start.actions if names else None, seed=seed, choice=choice), model=model, names=names)


def imagined(
    model: Pipeline, start: Start, names: tuple[str, ...], actions: Sequence[str | int], steps: int | None, seed: int, choice: Choice
) -> Iterator[tuple[str, Any]]:
    """The events of imagining: each frame, and the end. Frames are drawn one by one where the model can."""
    plan = list(actions)
    if names and start.actions is None:  # As in ``Pipeline.imagine``: the first action led through the known frames.
        start = start._replace(actions=action_numbers(plan[0], names, 1).expand(1, start.frames.shape[2] - 1))
    if can_play(model):
        world = begun(model, start, names, seed, choice)
        numbers = [world.number(action) for action in plan] if names else [0] * (steps or 0)
        for number, action in enumerate(numbers):
            yield "frame", (number, _decoded(model, world.play.step(action)))
    else:
        made = model.imagine(
            start.frames,
            plan if names else (),
            before=start.actions if names else None,
            steps=None if names else steps,
            seed=seed,
            **choice._asdict(),
        )
        for number in range(made.shape[2]):
            yield "frame", (number, made[:, :, number])
    yield "done", None


def told(model: Pipeline, steps: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Events of ``imagined`` as JSON can hold them."""
    for event, value in steps:
        yield event, {} if value is None else {"index": value[0], "frame": frame_of(value[1]).url}


def filmed(model: Pipeline, start: Start, steps: Iterator[tuple[str, Any]]) -> Iterator[bytes | None]:
    """The known and the imagined frames as a GIF at the end; None between frames."""
    frames = [start.frames]
    for _, value in steps:
        if value is not None:
            frames.append(value[1].unsqueeze(2))
            yield None
    yield file_of(torch.cat(frames, 2), model.signal, "gif").data


def _decoded(model: Pipeline, codes: Tensor) -> Tensor:
    """Codes (1, codebooks, height, width) of a frame as a frame."""
    assert model.size is not None or model.layout
    size = None if model.size is None else (1, *model.size[1:])
    return model.decode(Codes([codes.unsqueeze(2).cpu()]), size)[:, :, 0]
