"""Render episodes of a ViZDoom scenario (Kempka et al. 2016, arXiv 1605.02097) into a .npy file; the only importer of vizdoom.

``worlds.py`` runs this file as a separate program, in an empty folder: the engine leaves files where it runs, and a scenario that crashes
it must not crash the user's process. Therefore nothing here imports from the package.
"""

import contextlib
import json
import os
import random
import re
import signal
import sys
import threading
from typing import NamedTuple

import numpy as np
import vizdoom
from PIL import Image

# Larger than the frames: the engine picks single texels, so distant walls flicker unless we average several of its pixels.
_WIDTH, _HEIGHT = 320, 240
_LEFT_EDGE, _RIGHT_EDGE = (_WIDTH - _HEIGHT) // 2, (_WIDTH + _HEIGHT) // 2
_FORWARD, _LEFT, _RIGHT, _FORWARD_LEFT, _FORWARD_RIGHT = range(5)
_DEGREES_PER_TIC = 4.0
# For each action: whether to move forward, and the sign of the turn.
_BUTTONS = {_FORWARD: (1, 0), _LEFT: (0, -1), _RIGHT: (0, 1), _FORWARD_LEFT: (1, -1), _FORWARD_RIGHT: (1, 1)}
_ATTEMPTS = 50


class _View(NamedTuple):
    """What the explorer sees: the distance to each thing in view (engine units, about 7 map units each), and its own position."""

    left: float
    ahead: float
    right: float
    position: tuple[float, float]


class _Explorer:
    """Walk where there is room: veer away from near obstacles, and turn on the spot in front of a wall until the view is open.

    Straight walks with random turns when blocked would face a wall in most frames.
    """

    NEAR, VEER, OPEN = 5, 12, 15
    WANDER = 0.08
    """The probability of starting a random turn while walking in the open."""
    FULL_TURN = 26
    STUCK = 4.0
    """Map units. A walk that covers less is blocked, perhaps by a sill, even if the depth shows open space."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._action, self._left, self._turned = _FORWARD, 0, 0
        self._walked_from: tuple[float, float] | None = None

    def act(self, view: _View) -> int:
        blocked = self._walked_from is not None and bool(np.hypot(*np.subtract(view.position, self._walked_from)) < self.STUCK)
        close = blocked or view.ahead < self.NEAR
        on_the_spot = self._action in (_LEFT, _RIGHT)
        self._left = max(0, self._left - 1)
        if on_the_spot:
            self._turned += 1
            if self._left == 0 and view.ahead < self.OPEN and self._turned < self.FULL_TURN:
                self._left = 1
        elif close:
            self._left = 0
        if self._left == 0:
            self._choose(view, close)
        self._walked_from = None if self._action in (_LEFT, _RIGHT) else view.position
        return self._action

    def _choose(self, view: _View, close: bool) -> None:
        to_the_left = view.left > view.right
        if close:
            if self._random.random() < 0.2:  # Sometimes the other way, or it would circle in a corner for ever.
                to_the_left = not to_the_left
            self._action, self._left, self._turned = (_LEFT if to_the_left else _RIGHT), self._between(2, 4), 0
        elif view.ahead < self.VEER:
            self._action, self._left = (_FORWARD_LEFT if to_the_left else _FORWARD_RIGHT), 1
        elif self._random.random() < self.WANDER:
            self._action, self._left = (_FORWARD_LEFT if self._random.random() < 0.5 else _FORWARD_RIGHT), self._between(2, 6)
        else:
            self._action = _FORWARD

    def _between(self, first: int, last: int) -> int:
        # random() gives the same numbers in every release of Python; randint does not guarantee that.
        return first + int(self._random.random() * (last - first + 1))


def _game(scenario: str) -> vizdoom.DoomGame:
    """The engine without window, sound, monsters, weapon or status bar: only the world."""
    game = vizdoom.DoomGame()
    # The package's own free game data, even if the user has other data.
    game.set_doom_game_path(os.path.join(os.path.dirname(vizdoom.__file__), "freedoom2.wad"))
    game.set_doom_scenario_path(os.path.join(vizdoom.scenarios_path, f"{scenario}.wad"))
    game.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
    game.set_screen_format(vizdoom.ScreenFormat.RGB24)
    game.set_depth_buffer_enabled(True)
    for extra in ("hud", "weapon", "crosshair", "decals", "particles", "messages", "effects_sprites", "screen_flashes"):
        getattr(game, f"set_render_{extra}")(False)
    game.set_window_visible(False)
    game.set_sound_enabled(False)
    game.set_mode(vizdoom.Mode.PLAYER)
    # Turn by an angle, not by a button: a held button turns faster and faster, so an action would not always mean the same.
    game.set_available_buttons([vizdoom.Button.MOVE_FORWARD, vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
    game.set_available_game_variables([vizdoom.GameVariable.POSITION_X, vizdoom.GameVariable.POSITION_Y])
    game.set_doom_skill(1)
    game.set_episode_start_time(10)
    game.set_episode_timeout(0)
    game.add_game_args("-nomonsters +sv_cheats 1")
    game.init()
    return game


def _episode(game: vizdoom.DoomGame, seed: str, frames: np.ndarray, actions: np.ndarray, frame_skip: int) -> bool:
    """Fill ``frames`` (time, 3, size, size) and ``actions`` (time,). False if the game ended too early."""
    game.set_seed(int.from_bytes(random.Random(seed).randbytes(4), "little"))
    game.new_episode()
    game.send_game_command("god")
    explorer = _Explorer(seed)
    size = frames.shape[-1]
    for time in range(len(frames)):
        if game.is_episode_finished():
            return False
        state = game.get_state()
        picture = Image.fromarray(state.screen_buffer).resize(
            (size, size), Image.Resampling.LANCZOS, box=(_LEFT_EDGE, 0, _RIGHT_EDGE, _HEIGHT), reducing_gap=1.0
        )
        frames[time] = np.asarray(picture).transpose(2, 0, 1)
        assert state.depth_buffer is not None and state.game_variables is not None  # Both are switched on in _game.
        # The nearest thing in a band at eye level, over the columns of the picture.
        depth = state.depth_buffer[_HEIGHT // 2 - 12 : _HEIGHT // 2 + 4, _LEFT_EDGE:_RIGHT_EDGE].min(0).astype(float)
        view = _View(depth[:96].mean(), float(np.sort(depth[80:160])[16]), depth[144:].mean(), tuple(state.game_variables))
        actions[time] = explorer.act(view)
        forward, turn = _BUTTONS[int(actions[time])]
        game.make_action([forward, turn * _DEGREES_PER_TIC], frame_skip)
    return True


def _render(scenario: str, seeds: dict[str, str], frame_skip: int, frames_path: str, actions_path: str) -> None:
    frames, actions = (np.load(path, mmap_mode="r+") for path in (frames_path, actions_path))
    game = _game(scenario)
    for episode, seed in seeds.items():
        for attempt in range(_ATTEMPTS):
            if _episode(game, f"{seed}/{attempt}", frames[int(episode)], actions[int(episode)], frame_skip):
                break
        else:
            sys.exit(f"the game ended before {frames.shape[1]} frames in each of {_ATTEMPTS} attempts; use fewer frames_per_episode")
    game.close()
    frames.flush()
    actions.flush()


def _end_with_parent() -> None:
    # Standard input is a pipe from the parent process: it closes when the parent ends, even by SIGKILL.
    # os.read holds no lock that would block a normal exit.
    os.read(0, 1)
    for name in _shared_memory():
        with contextlib.suppress(OSError):
            os.unlink(name)
    # The engine is a separate process, in the process group of this one.
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _shared_memory() -> set[str]:
    """Shared files of this process and its engine. Only these two know their names, and the files outlive both."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return {path[0] for line in maps if (path := re.findall(r"/dev/shm/ViZDoom\S*", line))}
    except OSError:
        return set()


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _render(**json.loads(sys.argv[1]))
