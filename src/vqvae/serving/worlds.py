"""Imagined worlds that clients play, beside the engine if it is here, and clips that models imagine."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.data.engines import Engine
from vqvae.errors import ConfigError, DataError, VqvaeError
from vqvae.generation.imagination import action_numbers
from vqvae.generation.playing import Play, memory_of
from vqvae.layers.autoregressive import Choice
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.pipeline import Pipeline, check_frames
from vqvae.pipeline.parts import whole_codes
from vqvae.serving.material import Start
from vqvae.serving.refusals import Refusal
from vqvae.serving.settings import ServeOptions
from vqvae.serving.wire import file_of, frame_of


def unplayable(model: Pipeline) -> str | None:
    """Why a model of clips cannot be played. None if it can: its prior remembers frames, and its decoder sees no later ones."""
    if memory_of(model.prior) is None:
        return "Its prior has no memory of frames. Train a prior 'world' or 'masked'."
    if isinstance(model.tokenizer, CodeAutoencoder) and not model.tokenizer.masks_frames:
        return "Its decoder sees later frames. Train the tokenizer frame by frame, or with the networks 'video'."
    return None


_log = logging.getLogger(__name__)
_OVER = "The engine's episode has ended here. The imagined world goes on."


@dataclass(kw_only=True)
class World:
    """A world that somebody plays."""

    play: Play
    decode: Callable[[Tensor], Tensor]
    """Makes frames (1, channels, time, height, width) of the next codes (1, codebooks, height, width)."""
    names: tuple[str, ...]
    used: float = field(default_factory=time.monotonic)
    engine: Engine | None = None
    """The engine after the same start and the same actions."""
    engine_words: str | None = None
    """Why the engine shows nothing more."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held during a step: the model and the engine get the actions in one order."""
    is_closed: bool = False

    def step(self, action: str | int | None) -> Tensor:
        """The next frames (1, channels, time, height, width): as many as a code stands for. The engine gets the same action and works
        meanwhile.

        Raises:
            ConfigError: there is no such action.
        """
        number = self.number(action)
        if self.engine is not None:
            try:
                self.engine.act(number)
            except DataError as error:
                self._end_engine(str(error))
        return self.decode(self.play.step(number))

    def begin_engine(self, begin: Callable[[], Engine]) -> Tensor | None:
        """Begin the engine, and return its frame (1, channels, height, width) at the start. None if it fails; ``engine_words`` says why."""
        try:
            self.engine = begin()
        except (VqvaeError, OSError) as error:
            self._end_engine(str(error))
            return None
        if self.is_closed:  # Meanwhile.
            self.close()
        return torch.from_numpy(self.engine.first.copy())[None]

    def engine_frame(self) -> Tensor | None:
        """The engine's frame (1, channels, height, width) after the last action. None if there is no more; ``engine_words`` says why."""
        engine = self.engine
        if engine is None:
            return None
        try:
            frame = engine.frame()
        except DataError as error:
            self._end_engine(str(error))
            return None
        if frame is None:
            self._end_engine(_OVER)
            return None
        return torch.from_numpy(frame.copy())[None]

    def close(self) -> None:
        """End the engine."""
        self.is_closed = True
        if self.engine is not None:
            self.engine.close()

    def _end_engine(self, why: str) -> None:
        if why != _OVER and not self.is_closed:
            _log.warning("A world goes on without its engine: %s", why)
        self.engine_words = why
        if self.engine is not None:
            self.engine.close()
            self.engine = None

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
        self._timer: asyncio.TimerHandle | None = None

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
        """Close a world.

        Raises:
            Refusal: there is none.
        """
        self.get(name)
        self._open.pop(name).close()

    def expire(self) -> None:
        """Close the worlds that nobody has played for a while."""
        until = self._now() - self._options.world_seconds
        for name in [name for name, world in self._open.items() if world.used < until]:
            self._open.pop(name).close()

    def clear(self) -> None:
        """Close all worlds."""
        for name in list(self._open):
            self._open.pop(name).close()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close worlds that nobody plays when it is time, although nobody asks for another: an engine takes memory."""
        if self._timer is None and self._open:
            self._timer = loop.call_later(self._options.world_seconds / 2, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self.expire()
        self.watch(loop)


def begun(model: Pipeline, start: Start, names: tuple[str, ...], seed: int, choice: Choice) -> World:
    """A world that begins with known frames.

    Raises:
        ConfigError: the model cannot be played.
        DataError: the frames are not what the model takes.
    """
    assert model.prior is not None
    check_frames(start.frames, model.size)
    known = model.encode_batch(Batch(whole_codes(start.frames, model.layout[0]))).tensor
    play = Play(model.prior, known, start.actions if names else None, seed=seed, choice=choice)
    return World(play=play, decode=_decoder(model, known, tuple(start.frames.shape[3:])), names=names)


def _decoder(model: Pipeline, known: Tensor, size: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """What makes frames of this height and width of the codes that follow known ones."""
    if not isinstance(model.tokenizer, CodeAutoencoder):  # Frame by frame.
        return lambda codes: model.decode(Codes([codes.unsqueeze(2).cpu()]), (1, *size))
    came = deque([known])

    def blocks() -> Iterator[Tensor]:
        while True:
            yield came.popleft()

    made = model.decode_stream(blocks())  # It keeps the codes that later frames depend on.
    next(made)

    def decode(codes: Tensor) -> Tensor:
        came.append(codes.unsqueeze(2).cpu())
        frames = next(made, None)
        if frames is None:
            raise Refusal(404, "This world has failed before. Begin a new one.")
        return frames[..., : size[0], : size[1]]

    return decode


def imagined(
    model: Pipeline, start: Start, names: tuple[str, ...], actions: Sequence[str | int], steps: int | None, seed: int, choice: Choice
) -> Iterator[tuple[str, Any]]:
    """The events of imagining: each frame, and the end. They come one by one where each is decoded by itself."""
    plan = list(actions)
    if names and start.actions is None:  # As in ``Pipeline.imagine``: the first action led through the known frames.
        start = start._replace(actions=action_numbers(plan[0], names, 1).expand(1, start.frames.shape[2] - 1))
    if unplayable(model) is None and not isinstance(model.tokenizer, CodeAutoencoder):
        world = begun(model, start, names, seed, choice)
        numbers = [world.number(action) for action in plan] if names else [0] * (steps or 0)
        for number, action in enumerate(numbers):
            yield "frame", (number, world.decode(world.play.step(action))[:, :, 0])
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
