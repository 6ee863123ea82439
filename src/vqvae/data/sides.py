"""What the folders of a data set mean: sides, such as ``train/`` and ``test/``, or groups, such as classes and speakers."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vqvae.data.split import split_of_any_size
from vqvae.errors import DataError

_log = logging.getLogger(__name__)

TRAIN = ("train", "training")
"""Names of folders to train on, in any case."""
HELD_OUT = ("val", "valid", "validation", "dev", "eval", "test", "testing")
"""Names of folders to hold out, in any case. If a data set has several, the first in this list is held out."""
_DEEPEST = 2
"""Maximum depth of the folder of a side. ``CLASS/train/`` has depth 1."""
_LINE, _SHOWN = 120, 3
"""Maximum number of characters in a line, and of folders that it names."""


class Item(NamedTuple):
    """One file of a data set."""

    file: str
    """Its path relative to the folder of the data set."""
    inner: str
    """The same path without the folder of the side: ``GROUP/NAME``."""

    @property
    def group(self) -> str | None:
        """The class or speaker: the first folder in ``inner``, or None if there is none."""
        folder, slash, _ = self.inner.partition("/")
        return folder if slash else None


class Sides(NamedTuple):
    """The files of a data set by their sides."""

    train: tuple[Item, ...]
    held_out: tuple[Item, ...] | None
    """None if no folder is held out."""
    words: str
    """How folders were interpreted, in at most 120 characters. Empty if no folder has the name of a side."""

    def split(self, where: str) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        """The two sides. If no folder is held out, a hash of the paths selects 5 % of the files to hold out, at least one.

        Raises:
            DataError: if there are fewer than two files; ``where`` names the data set.
        """
        if self.held_out is not None:
            return self.train, self.held_out
        train, held_out = split_of_any_size([item.file for item in self.train], where)
        return tuple(self.train[row] for row in train), tuple(self.train[row] for row in held_out)


def find_sides(root: Path, files: Sequence[str]) -> Sides:
    """Sort files by the sides that their folders name.

    - ``train/`` beside ``test/``, ``val/`` or similar: files outside these folders belong to no side.
    - ``test/`` or similar without ``train/``: all other files are training files.
    - ``train/`` without a folder to hold out: ``train/`` is a group, such as a class, if it directly contains files and there are other
      folders beside it. Otherwise, ``train/`` is the whole data set, and files outside it belong to no side.

    Sides are also found inside a single folder that contains everything, and inside each group: ``CLASS/train/`` and ``CLASS/test/``.

    Args:
        root: the folder of the data set.
        files: paths below it, as from ``find_files``.

    Raises:
        DataError: if nothing is left to train on, or the folder to hold out is empty.
    """
    paths = {file: file.split("/") for file in files}
    depth, is_around = _place_of_sides(list(paths.values()))
    found: dict[str, list[Item]] = {}
    for file, path in paths.items():
        name = _side(path, depth)
        above = [] if is_around else path[:depth]
        found.setdefault("train" if name in TRAIN else name, []).append(Item(file, "/".join([*above, *path[depth + bool(name) :]])))
    train, rest = found.pop("train", []), found.pop("", [])
    held = next((name for name in HELD_OUT if name in found), None)
    if held is None:
        if not train:
            return Sides(tuple(Item(file, file) for file in files), None, "")
        _check_no_side_is_empty(root.joinpath(*paths[train[0].file][:depth]))
        return _train_alone(train, rest, depth)
    held_out, unused = found.pop(held), [item for items in found.values() for item in items]
    names = _folders(held_out, depth)
    if not train and not rest:
        raise DataError(f"{root} has files to hold out ({names}), but no train/ beside it. Move those to train on into {root / 'train'}.")
    if not train:
        return Sides(tuple(rest), tuple(held_out), _words(f"Holding out {names}, training on everything else", unused, depth))
    words = _words(f"Training on {_folders(train, depth)}, holding out {names}", [*unused, *rest], depth)
    return Sides(tuple(train), tuple(held_out), words)


def class_names(root: Path, train: Sequence[Item], held_out: Sequence[Item], wanted: bool | None) -> tuple[str, ...]:
    """The classes of images, in alphabetical order. Empty if sub-folders are not classes.

    Args:
        root: the folder of the data set, for messages.
        train: the files to train on.
        held_out: the files that are held out.
        wanted: whether sub-folders are classes. If None, they are classes if there are at least two, every image lies in one, and each
            has training images, at least two on average.

    Raises:
        DataError: if ``wanted`` is true and an image has no class, or a class has no training images.
    """
    groups, others = ({item.group for item in side} for side in (train, held_out))
    names = tuple(sorted(group for group in groups if group is not None))
    if wanted is False or not (groups | others) - {None}:
        if wanted:
            _log.warning("There are no classes: no image in %s lies in a sub-folder of its own.", root)
        return ()
    loose = next((item.file for item in (*train, *held_out) if item.group is None), None)
    if wanted is None:
        reasons = {
            f"{loose} lies in none": loose is not None,
            f"{min(map(str, others - groups), default='')}/ has no images to train on": bool(others - groups),
            "there is only one": len(names) == 1,
            "they have fewer than two images each": len(train) < 2 * len(names),
        }
        reason = next((words for words, holds in reasons.items() if holds), "")
        if reason:
            _log.info("The sub-folders are not taken for classes: %s.", reason)
        return () if reason else names
    if loose is not None:
        raise DataError(f"{root / loose} lies in no sub-folder, so it has no class. Move it into one, or set classes to false.")
    if others - groups:
        raise DataError(f"The classes {sorted(map(str, others - groups))[:5]} have held-out images but none to train on.")
    return names


def _train_alone(train: list[Item], rest: list[Item], depth: int) -> Sides:
    """The sides if there is a ``train/`` folder but no folder to hold out."""
    folder, beside = _folders(train, depth), [item for item in rest if item.group is not None]
    if beside and any(item.group is None for item in train):
        items = sorted(Item(item.file, "/".join(item.file.split("/")[depth:])) for item in [*train, *rest])
        words = f"Taking {folder} for a class or speaker like {_folders(beside, depth)}, because no test/ or val/ lies beside it"
        return Sides(tuple(items), None, _words(words, [], depth))
    return Sides(tuple(train), None, _words(f"Training on {folder}, holding out 5 % of it", rest, depth))


def _check_no_side_is_empty(folder: Path) -> None:
    """Raise DataError if a folder to hold out is empty."""
    for place in sorted(folder.iterdir()):
        if place.name.casefold() in HELD_OUT and place.is_dir():
            raise DataError(f"{place} should be held out, but it holds no files of a known kind. Fill it or remove it.")


def _words(start: str, unused: Sequence[Item], depth: int) -> str:
    words = start + (f"; ignoring {_folders(unused, depth)}" if unused else "")
    return f"{words if len(words) < _LINE else words[: _LINE - 2] + '…'}."


def _folders(items: Sequence[Item], depth: int) -> str:
    """The folders of files as text, such as ``cat/, dog/, ...``, with the number of loose files."""
    paths = [item.file.split("/") for item in items]
    names = sorted({f"{path[depth]}/" for path in paths if len(path) > depth + 1})
    loose = sum(len(path) <= depth + 1 for path in paths)
    more = ["..."] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more, *([f"{loose:,} loose file{'s' * (loose > 1)}"] if loose else [])])


def _place_of_sides(paths: list[list[str]]) -> tuple[int, bool]:
    """The depth of the side folders in the paths, and whether the folders above them contain everything. If so, those are not groups."""
    for depth in range(_DEEPEST + 1):
        if any(_side(path, depth) for path in paths):
            return depth, True
        if len({path[depth] for path in paths}) != 1 or len(paths[0]) <= depth + 1:  # The set is empty if there are no files.
            break  # No single folder contains everything at this depth.
    for depth in range(1, _DEEPEST + 1):
        names = {_side(path, depth) for path in paths}
        if names & {*HELD_OUT} and names & {*TRAIN} and "" not in names:
            return depth, False
    return 0, True


def _side(path: list[str], depth: int) -> str:
    """The side named by the folder at this depth of a path, or "" if it names none."""
    name = path[depth].casefold() if len(path) > depth + 1 else ""
    return name if name in (*TRAIN, *HELD_OUT) else ""
