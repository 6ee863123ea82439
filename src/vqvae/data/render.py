"""Render episodes of ViZDoom scenarios (Kempka et al. 2016, arXiv 1605.02097) into .npy files; the only importer of vizdoom.

``worlds.py`` runs this file as a separate program, in an empty folder: the engine leaves files where it runs, and a scenario that crashes
it must not crash the user's process. Therefore nothing here imports from the package.
"""

import itertools
import json
import os
import random
import sys
from typing import Literal, NamedTuple

import numpy as np
import vizdoom
from PIL import Image

# Larger than the frames: the engine picks single texels, so distant walls flicker unless we average several of its pixels.
_WIDTH, _HEIGHT = 320, 240
_LEFT_EDGE, _RIGHT_EDGE = (_WIDTH - _HEIGHT) // 2, (_WIDTH + _HEIGHT) // 2
_FORWARD, _LEFT, _RIGHT, _FORWARD_LEFT, _FORWARD_RIGHT = range(5)
_DEGREES_PER_TIC = 4.0
_USUAL_TICS = 4  # The explorer's numbers are for frames this far apart. With fewer tics it holds its decisions for more frames.
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

    def __init__(self, seed: str, frame_skip: int = _USUAL_TICS) -> None:
        self._random = random.Random(seed)
        self._repeats = max(1, round(_USUAL_TICS / frame_skip))
        self._action, self._left, self._turned = _FORWARD, 0, 0
        self._walked: list[tuple[float, float]] = []

    def act(self, view: _View) -> int:
        # Over the usual tics: a walk from a standstill needs some to gain speed.
        before = self._walked[-self._repeats :]
        blocked = len(before) == self._repeats and bool(np.hypot(*np.subtract(view.position, before[0])) < self.STUCK)
        close = blocked or view.ahead < self.NEAR
        on_the_spot = self._action in (_LEFT, _RIGHT)
        self._left = max(0, self._left - 1)
        if on_the_spot:
            self._turned += 1
            if self._left == 0 and view.ahead < self.OPEN and self._turned < self.FULL_TURN * self._repeats:
                self._left = 1
        elif close:
            self._left = 0
        if self._left == 0:
            self._choose(view, close)
        self._walked = [] if self._action in (_LEFT, _RIGHT) else [*before, view.position]
        return self._action

    def _choose(self, view: _View, close: bool) -> None:
        to_the_left = view.left > view.right
        if close:
            if self._random.random() < 0.2:  # Sometimes the other way, or it would circle in a corner for ever.
                to_the_left = not to_the_left
            self._action, self._left, self._turned = (_LEFT if to_the_left else _RIGHT), self._between(2, 4), 0
        elif view.ahead < self.VEER:
            self._action, self._left = (_FORWARD_LEFT if to_the_left else _FORWARD_RIGHT), self._repeats
        elif self._random.random() < self.WANDER / self._repeats:
            self._action, self._left = (_FORWARD_LEFT if self._random.random() < 0.5 else _FORWARD_RIGHT), self._between(2, 6)
        else:
            self._action = _FORWARD

    def _between(self, first: int, last: int) -> int:
        # random() gives the same numbers in every release of Python; randint does not guarantee that.
        return first * self._repeats + int(self._random.random() * (last - first + 1) * self._repeats)


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
    game.set_available_game_variables([vizdoom.GameVariable.POSITION_X, vizdoom.GameVariable.POSITION_Y, vizdoom.GameVariable.ANGLE])
    game.set_doom_skill(1)
    game.set_episode_start_time(10)
    game.set_episode_timeout(0)
    game.add_game_args("-nomonsters +sv_cheats 1")
    game.init()
    return game


def _begin(game: vizdoom.DoomGame, seed: str) -> None:
    game.set_seed(int.from_bytes(random.Random(seed).randbytes(4), "little"))
    game.new_episode()
    game.send_game_command("god")


def _act(game: vizdoom.DoomGame, action: int, frame_skip: int) -> None:
    forward, turn = _BUTTONS[action]
    game.make_action([forward, turn * _DEGREES_PER_TIC], frame_skip)


def _picture(state: vizdoom.GameState, size: int) -> np.ndarray:
    """What the walker sees: uint8 (3, size, size)."""
    picture = Image.fromarray(state.screen_buffer).resize(
        (size, size), Image.Resampling.LANCZOS, box=(_LEFT_EDGE, 0, _RIGHT_EDGE, _HEIGHT), reducing_gap=1.0
    )
    return np.asarray(picture).transpose(2, 0, 1)


def _episode(game: vizdoom.DoomGame, seed: str, frames: np.ndarray, actions: np.ndarray, poses: np.ndarray, frame_skip: int) -> bool:
    """Fill ``frames`` (time, 3, size, size), ``actions`` (time,) and ``poses`` (time, 3). False if the game ended too early."""
    _begin(game, seed)
    explorer = _Explorer(seed, frame_skip)
    for time in range(len(frames)):
        if game.is_episode_finished():
            return False
        state = game.get_state()
        assert state.depth_buffer is not None and state.game_variables is not None  # Both are switched on in _game.
        frames[time], poses[time] = _picture(state, frames.shape[-1]), state.game_variables
        # The nearest thing in a band at eye level, over the columns of the picture.
        depth = state.depth_buffer[_HEIGHT // 2 - 12 : _HEIGHT // 2 + 4, _LEFT_EDGE:_RIGHT_EDGE].min(0).astype(float)
        x, y, _ = state.game_variables
        view = _View(depth[:96].mean(), float(np.sort(depth[80:160])[16]), depth[144:].mean(), (x, y))
        actions[time] = explorer.act(view)
        _act(game, int(actions[time]), frame_skip)
    return True


def _render(walks: list[tuple[int, str, str]], frame_skip: int, folder: str) -> None:
    """Render walks, each a row of the arrays in ``folder``, a scenario and a seed."""
    frames, actions, poses = (_array(folder, name) for name in ("frames", "actions", "poses"))
    for scenario, group in itertools.groupby(walks, key=lambda walk: walk[1]):
        game = _game(scenario)
        for row, _, seed in group:
            for attempt in range(_ATTEMPTS):
                if _episode(game, f"{seed}/{attempt}", frames[row], actions[row], poses[row], frame_skip):
                    break
            else:
                sys.exit(f"the game ended before {frames.shape[1]} frames in each of {_ATTEMPTS} attempts; use fewer frames_per_episode")
        game.close()
    for array in (frames, actions, poses):
        array.flush()


def _replay(game: vizdoom.DoomGame, seed: str, actions: list[int], frame_skip: int, expected: np.ndarray) -> bool:
    """Repeat a walk. Returns whether the walker then sees ``expected``, uint8 (3, size, size)."""
    _begin(game, seed)
    for action in actions:
        if game.is_episode_finished():
            return False
        _act(game, action, frame_skip)
    return not game.is_episode_finished() and bool((_picture(game.get_state(), expected.shape[-1]) == expected).all())


def _repeat(game: vizdoom.DoomGame, seed: str, actions: list[int], frame_skip: int, expected: np.ndarray, first: int = 0) -> int:
    """Repeat a walk whose seed needed an unknown number of attempts, at least ``first``. Returns that number."""
    for attempt in range(first, _ATTEMPTS):
        if _replay(game, f"{seed}/{attempt}", actions, frame_skip, expected):
            return attempt
    sys.exit("the engine does not repeat the walk; remove the folder of rendered frames to render them anew")


def _roll(rollouts: list[tuple[int, str, str, int, int]], held: list[int], frame_skip: int, walks: str, folder: str) -> None:
    """Repeat the start of walks, then hold an action.

    Args:
        rollouts: row of the arrays in ``folder``, scenario, seed, row of the arrays in ``walks``, and frames of the walk to repeat.
        held: actions, each held once after every start.
    """
    frames, poses, lengths = (_array(folder, name) for name in ("frames", "poses", "lengths"))
    seen, done = (_array(walks, name, "r") for name in ("frames", "actions"))
    for scenario, group in itertools.groupby(rollouts, key=lambda rollout: rollout[1]):
        game = _game(scenario)
        for row, _, seed, walk, context in group:
            first, before = 0, done[walk, : context - 1].tolist()
            for column, action in enumerate(held):
                first = _repeat(game, seed, before, frame_skip, seen[walk, context - 1], first)
                lengths[row, column] = _hold(game, action, frame_skip, frames[row, column], poses[row, column])
        game.close()
    for array in (frames, poses, lengths):
        array.flush()


def _hold(game: vizdoom.DoomGame, action: int, frame_skip: int, frames: np.ndarray, poses: np.ndarray) -> int:
    """Hold an action and fill ``frames`` and ``poses``. Returns the number of frames until the game ends; the others stay black."""
    for time in range(len(frames)):
        _act(game, action, frame_skip)
        if game.is_episode_finished():
            return time
        state = game.get_state()
        frames[time], poses[time] = _picture(state, frames.shape[-1]), state.game_variables
    return len(frames)


def _live(walk: tuple[str, str, int, int], frame_skip: int, walks: str, commands: int, answers: int) -> None:
    """Repeat the start of a walk, then act as commanded; ``engines.py`` describes commands and answers.

    Args:
        walk: scenario, seed, row of the arrays in ``walks``, and frames of the walk to repeat.
    """
    scenario, seed, row, context = walk
    seen, done = (_array(walks, name, "r") for name in ("frames", "actions"))
    game, size = _game(scenario), seen.shape[-1]
    _repeat(game, seed, done[row, : context - 1].tolist(), frame_skip, seen[row, context - 1])
    with open(commands, encoding="ascii") as asked, open(answers, "wb") as told:
        told.write(b"\0" + _picture(game.get_state(), size).tobytes())
        told.flush()
        for line in asked:
            _act(game, int(line), frame_skip)
            is_over = game.is_episode_finished()
            told.write(b"\1" if is_over else b"\0" + _picture(game.get_state(), size).tobytes())
            told.flush()
            if is_over:
                break
    game.close()


def _array(folder: str, name: str, mode: Literal["r", "r+"] = "r+") -> np.memmap:
    return np.lib.format.open_memmap(os.path.join(folder, f"{name}.npy"), mode)


if __name__ == "__main__":
    _task = json.loads(sys.argv[1])
    (_live if "walk" in _task else _roll if "rollouts" in _task else _render)(**_task)
