"""The roles of the arrays of an .npz, by their names: data and labels, for training and held out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vqvae.errors import DataError

_TRAIN = {"train", "training", "tr"}
_HELD_OUT = ("val", "valid", "validation", "dev", "test", "testing", "heldout")
_LABELS = {"y", "label", "labels", "target", "targets", "class", "classes"}
_PREFERRED = ("x", "data", "images", "image", "series", "spectrograms", "volumes")


@dataclass(frozen=True)
class Roles:
    """Names of arrays."""

    train: str
    held_out: str | None
    """None if the file does not say."""
    train_labels: str | None
    held_out_labels: str | None
    unused: tuple[str, ...] = ()


def roles_of(names: Iterable[str], key: str | None, where: str) -> Roles:
    """The role of each array.

    Args:
        key: the array to train on. None: decide by the names.

    Raises:
        DataError: if there is no array ``key``, or the names do not identify the data.
    """
    names = list(names)
    if key is not None and key not in names:
        raise DataError(f"{where} has no array {key!r}; it has {sorted(names)[:8]}.")
    data = {name: side for name in names if (side := _side(name)) is not None and not _is_label(name)}
    rest = [name for name in names if name not in data and not _is_label(name)]
    train = key or next((name for name, side in data.items() if side == "train"), None) or _alone(rest)
    if train is None and len(names) == 1:
        train = names[0]
    if train is None:
        raise DataError(
            f"{where} has the arrays {sorted(names)[:8]}; name them x_train and x_val, or x, with y_... for labels. Or name the one to "
            "train on: --data.key NAME"
        )
    held_out = None
    for side in _HELD_OUT:
        held_out = held_out or next((name for name, found in data.items() if found == side and name != train), None)
    if held_out is None and key is None and _side(train) == "train":
        raise DataError(f"{where} has {train} but neither x_val nor x_test; it has {sorted(names)[:8]}. Or give --data.key {train}.")
    labels = {_side(name): name for name in reversed(names) if _is_label(name) and name != train}
    train_labels = labels.get(_side(train)) or (labels.get(None) if held_out is None else labels.get("train", labels.get(None)))
    held_out_labels = labels.get(_side(held_out)) if held_out else None
    used = (train, held_out, train_labels, held_out_labels)
    return Roles(train, held_out, train_labels, held_out_labels, tuple(name for name in names if name not in used))


def _side(name: str | None) -> str | None:
    """ "train", one of the held-out sides, or None."""
    words = _words(name or "")
    return "train" if set(words) & _TRAIN else next((side for side in _HELD_OUT if side in words), None)


def _is_label(name: str) -> bool:
    return bool(set(_words(name)) & _LABELS)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", name.lower())


def _alone(names: list[str]) -> str | None:
    """The only array, or the one with a usual name."""
    if len(names) == 1:
        return names[0]
    return next((name for usual in _PREFERRED for name in names if name.lower() == usual), None)
