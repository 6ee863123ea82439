"""A folder of clips: video files and folders of numbered frames, with or without an action for each frame."""

import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

from vqvae.config import INCIDENTAL, loads, settings, shown
from vqvae.data.base import Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import Content, check_unchanged, content_name, read_contents
from vqvae.data.episodes import ClipsDataset, Episodes, FramesDataset, dataset_of, frame_size
from vqvae.data.files import find_files, report_bad
from vqvae.data.sides import Item, find_sides
from vqvae.data.split import HELD_OUT_SHARE
from vqvae.disk import atomic_folder, exists, explained, locked, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.media.images import SUFFIXES as PICTURES
from vqvae.media.images import read_image
from vqvae.media.pictures import read_header
from vqvae.media.video import SUFFIXES as FILMS
from vqvae.media.video import frame_rate_of, video_frames

_log = logging.getLogger(__name__)

_SIDES = ("train", "held-out")
_VERSION = 1  # Of the decoder. A change makes other frames of the same files.
_FOLDER = "*"
"""Stands for the files in a folder of frames: ``walk/*`` is one clip."""
_TRACK = ".jsonl"
_SAME_RATE = 0.01
"""The relative difference up to which frame rates count as equal."""


@settings
class VideosConfig:
    """Clips in a folder and its sub-folders, or one long clip: MP4, MOV, WebM, MKV, AVI and GIF files, and folders of numbered pictures.

    ``train/``, ``test/`` and the like are sides; see ``vqvae.data.sides.find_sides``. If no folder is held out, 5 % of the clips, at least
    one, are, chosen by a hash of the relative path. For a single clip, it is the last 5 %.

    ``NAME.jsonl`` beside a clip NAME is its track of actions: one line per frame, such as {"action": "left"}, with the action taken on
    seeing that frame.
    """

    kept_in: ClassVar[tuple[str, str]] = ("cache", "*/clips.json")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FOLDER|FILE"})
    """The folder, or one long video file."""
    size: int | tuple[int, int] = dataclasses.field(metadata={"value": "N [N]"})
    """Height and width in pixels; one number for squares. The largest part of this shape is cut out and resized."""
    clip_length: int = 16
    """Frames per clip. 0: single frames."""
    frame_rate: float | None = None
    """Frames per second to read. Default: every frame is read, and all clips must have the same rate."""
    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for greys."""
    actions: tuple[str, ...] = dataclasses.field(default=(), metadata={"value": "NAME ..."})
    """The names of the actions, in order. Default: those in the training tracks, in alphabetical order."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """Skip clips that cannot be decoded, with a warning, instead of stopping."""
    cache: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for decoded clips; default: ~/.cache/vqvae/videos."""

    def build(self) -> Splits:
        """Find the clips, and decode them if they are not in the cache yet.

        Raises:
            ConfigError: if a number is too small.
            DataError: if there are no clips, one cannot be decoded or changes its size or frame rate midway, their rates differ, or a track
                of actions does not fit its clip.
            MissingExtraError: if there are video files other than GIF, and PyAV is not installed.
        """
        return _build(self)


class _Clip(NamedTuple):
    """A clip: its name in the folder, its files, and its track if it has one."""

    item: Item
    files: tuple[str, ...]
    track: str | None

    @property
    def is_folder(self) -> bool:
        return self.item.file.endswith(_FOLDER)


class _Kept(NamedTuple):
    """The clips of one side, as the cache describes them."""

    names: list[str]
    lengths: list[int]
    rates: list[float | None]
    tracks: list[list[str] | None]
    bad: dict[str, str]


def _build(config: VideosConfig) -> Splits:
    place = user_path(config.path)
    root, only = (place.parent, place.name) if place.is_file() else (place, None)
    size = frame_size(config.size, "VideosConfig")
    if config.frame_rate is not None and not 0 < config.frame_rate <= 1000:
        raise ConfigError(f"VideosConfig.frame_rate is {config.frame_rate}; it must be above 0 and at most 1000.")
    if not root.is_dir():
        raise DataError(f"There is no folder or file {root}. Give the path of a folder of clips, or of one long video file.")
    sides = _find(root, only)
    contents = read_contents(root, [file for side in sides for clip in side for file in _files(clip)])
    folder = (user_cache() / "videos" if config.cache is None else user_path(config.cache)) / _digest(sides, contents, config)
    advice = f"{ADVICE[:-1]}, or give another folder with --data.cache."
    if not exists(folder):
        with locked(folder, DataError, advice):
            if not folder.is_dir():
                _log.info("Decoding %d clips in %s to %s.", sum(map(len, sides)), root, folder)
                with atomic_folder(folder, DataError, advice) as partial:
                    places = [partial / f"{name}.npy" for name in _SIDES]
                    kept = [_decode(root, side, config, size, place) for side, place in zip(sides, places, strict=True)]
                    check_unchanged(root, contents)
                    (partial / "clips.json").write_text(json.dumps([side._asdict() for side in kept]))
    found = [_Kept(**side) for side in json.loads((folder / "clips.json").read_text())]
    bad = {str(root / file): reason for side in found for file, reason in side.bad.items()}
    report_bad(bad, sum(map(len, sides)), "video", config.skip_bad)
    names = _action_names(config, root, found)
    rate = _common_rate(config, root, found)
    whole = [_Part(side, side, kept, slice(None)) for side, kept in zip(_SIDES, found, strict=True)]
    parts = whole if sides[1] else _cut(found[0], config)
    return Splits(*(_dataset(part, folder, names, rate, config) for part in parts))


class _Part(NamedTuple):
    """One side of the data set: some frames of an array in the cache."""

    side: str
    array: str
    kept: _Kept
    frames: slice


def _cut(kept: _Kept, config: VideosConfig) -> list[_Part]:
    """Hold out the end of a single clip."""
    count, least = sum(kept.lengths), max(1, config.clip_length)
    held_out = max(least, round(HELD_OUT_SHARE * count))
    if kept.lengths and count - held_out < least:
        raise DataError(f"{kept.names[0]} has {count} frames; at least {2 * least} are needed to train on it and hold out its end.")
    ends = (slice(0, count - held_out), slice(count - held_out, count))
    cut = [kept._replace(lengths=[end.stop - end.start], tracks=[track and track[end] for track in kept.tracks]) for end in ends]
    return [_Part(side, _SIDES[0], *part) for side, part in zip(_SIDES, zip(cut, ends, strict=True), strict=True)]


def _find(root: Path, only: str | None) -> tuple[tuple[_Clip, ...], tuple[_Clip, ...]]:
    """The clips of both sides. A single clip is on the training side; it is cut later."""
    everything = find_files(root) if only is None else [name for name in (only, _track_name(only)) if (root / name).is_file()]
    films = [file for file in everything if file.lower().endswith(FILMS)]
    folders: dict[str, dict[int, str]] = {}
    with_films = {_parent(file) for file in films}
    for file in everything:
        number = re.search(r"(\d+)$", Path(file).stem)
        if file.lower().endswith(PICTURES) and number and _parent(file) not in with_films:
            frames = folders.setdefault(f"{_parent(file)}{_FOLDER}", {})
            other = frames.setdefault(int(number[1]), file)
            if other != file:
                raise DataError(f"{root / other} and {root / file} have the same number. Give each frame a number of its own.")
    files = {film: (film,) for film in films}
    files |= {folder: tuple(frames[number] for number in sorted(frames)) for folder, frames in folders.items()}
    if not files:
        raise DataError(f"{root} holds no clips: neither video files ({', '.join(FILMS)}) nor folders of numbered pictures.")
    present = {*everything}
    sides = find_sides(root, sorted(files))
    if sides.words:
        _log.info("%s", sides.words)
    split = (sides.train, ()) if len(files) == 1 and sides.held_out is None else sides.split(str(root))
    train, held_out = (tuple(_Clip(item, files[item.file], _track_of(item.file, present)) for item in side) for side in split)
    clips = (*train, *held_out)
    bare = next((clip for clip in clips if clip.track is None), None)
    if bare is not None and any(clip.track for clip in clips):
        advice = f"Add {_track_name(bare.item.file)}, or remove the others."
        raise DataError(f"{root / bare.item.file} has no track of actions, but others do. {advice}")
    parts = f"{len(train):,} clips to train on, {len(held_out):,} held out" if held_out else "One clip; its last 5 % are held out"
    _log.info("%s; %s.", parts, "no actions" if bare else "actions from tracks")
    return train, held_out


def _parent(file: str) -> str:
    """The folder of a file with a slash at its end; "" if it is the folder of the data set."""
    return file[: file.rfind("/") + 1]


def _track_name(clip: str) -> str:
    return (clip.removesuffix(f"/{_FOLDER}") if clip.endswith(_FOLDER) else clip[: clip.rfind(".")]) + _TRACK


def _track_of(clip: str, present: set[str]) -> str | None:
    name = _track_name(clip)
    return name if name in present else None


def _files(clip: _Clip) -> tuple[str, ...]:
    return clip.files if clip.track is None else (*clip.files, clip.track)


def _digest(sides: Sequence[Sequence[_Clip]], contents: Mapping[str, Content], config: VideosConfig) -> str:
    """The name of the decoded clips, from the contents of their files. A file that cannot be read has no digest."""

    def digest(file: str) -> str | None:
        return contents[file].digest if file in contents else None

    clips = [[[clip.item.inner, clip.is_folder, [digest(file) for file in _files(clip)]] for clip in side] for side in sides]
    return content_name("videos", [clips, config.size, config.channels, config.frame_rate, _VERSION])


def _decode(root: Path, clips: Sequence[_Clip], config: VideosConfig, size: tuple[int, int], path: Path) -> _Kept:
    """Write the frames of all clips, one after the other, into one array."""
    kept = _Kept([], [], [], [], {})
    shape = (config.channels, *size)
    with path.open("wb") as file:
        _write_header(file, 0, shape)
        for clip in clips:
            start, count = file.tell(), 0
            try:
                track = None if clip.track is None else read_actions(root / clip.track)
                rate, frames = _open(root, clip, config, size)
                for frame in frames:
                    file.write(frame.tobytes())
                    count += 1
                if track is not None and len(track) != count:
                    film, words = root / clip.item.file, f"has {len(track)} actions"
                    raise DataError(f"{root / str(clip.track)} {words}, and {film} has {count} frames. Give one for each.")
            except DataError as error:
                kept.bad[clip.item.file] = str(error)
                file.seek(start)
                file.truncate()
                continue
            kept.names.append(clip.item.inner)
            kept.lengths.append(count)
            kept.rates.append(rate)
            kept.tracks.append(track)
        file.seek(0)
        _write_header(file, sum(kept.lengths), shape)
    return kept


def _write_header(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    # NumPy leaves room in the header, so that the first axis can grow.
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})


def _open(root: Path, clip: _Clip, config: VideosConfig, size: tuple[int, int]) -> tuple[float | None, Iterator[np.ndarray]]:
    """The frame rate of a clip, if it is known, and its frames."""
    if clip.is_folder:
        return config.frame_rate, _numbered(root, clip, config.channels, size)
    path = root / clip.item.file
    rate = frame_rate_of(path)
    wanted = config.frame_rate
    if clip.track is not None and wanted is not None and abs(rate / wanted - 1) > _SAME_RATE:
        raise DataError(
            f"{path} has {rate:g} frames per second and an action for each, and frame_rate is {wanted:g}. Leave frame_rate out, or convert "
            "the clip and its track."
        )
    return wanted or rate, video_frames(path, size, channels=config.channels, frame_rate=None if clip.track is not None else wanted)


def _numbered(root: Path, clip: _Clip, channels: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """The frames in a folder, which must have one size."""
    first = read_header(root / clip.files[0]).size
    for file in clip.files:
        own = read_header(root / file).size
        if own != first:
            before = f"the frames before it have {first[1]} x {first[0]}"
            raise DataError(f"{root / file} has {own[1]} x {own[0]} pixels, and {before}. Give all frames one size.")
        yield read_image(root / file, size, channels=channels)


def read_actions(path: Path, *, is_plan: bool = False) -> list[str]:
    """The actions in a file, one per line, such as {"action": "left"}. Empty lines are skipped.

    Args:
        path: a text file in UTF-8.
        is_plan: whether a line may also be a bare name or number, such as left or 1.

    Raises:
        DataError: if the file cannot be read, or a line holds no action.
    """
    with explained(DataError, path, "cannot be read", "Check that it is a text file."):
        try:
            lines = read_text(path).splitlines()
        except ValueError as error:
            raise DataError(f"{path} is not UTF-8. Save it as UTF-8.") from error
    return [_action_in(line.strip(), f"{path}, line {number},", is_plan) for number, line in enumerate(lines, 1) if line.strip()]


def _action_in(line: str, where: str, is_plan: bool) -> str:
    if is_plan and line[0] not in '{["':
        return line
    try:
        entry = loads(line, where)
    except ConfigError as error:
        raise DataError(str(error)) from error
    action = entry.get("action") if isinstance(entry, dict) else entry if is_plan else None
    if isinstance(action, str) or (is_plan and type(action) is int):
        return str(action)
    bare = "a name, or " if is_plan else ""
    raise DataError(f'{where} is {shown(line)}; {bare}an object such as {{"action": "left"}} is expected.')


def _action_names(config: VideosConfig, root: Path, found: Sequence[_Kept]) -> tuple[str, ...]:
    train, held_out = ({action for track in side.tracks for action in track or ()} for side in found)
    known = config.actions or tuple(sorted(train))
    for side in found:
        for name, track in zip(side.names, side.tracks, strict=True):
            unknown = sorted({*(track or ())} - {*known})
            if unknown:
                raise DataError(f"The track of {name} in {root} has the action {unknown[0]!r}; the actions are {', '.join(known)}.")
    return known if train | held_out else ()


def _common_rate(config: VideosConfig, root: Path, found: Sequence[_Kept]) -> float | None:
    """Frames per second of all clips."""
    rates = {name: rate for side in found for name, rate in zip(side.names, side.rates, strict=True) if rate is not None}
    if not rates:
        return None
    slow, fast = min(rates, key=lambda name: rates[name]), max(rates, key=lambda name: rates[name])
    if rates[fast] / rates[slow] - 1 > 2 * _SAME_RATE:
        raise DataError(
            f"The clips in {root} have different frame rates: {slow} has {rates[slow]:g} and {fast} has {rates[fast]:g} frames per second. "
            "Give frame_rate to read all at one."
        )
    return config.frame_rate or rates[slow]


def _dataset(part: _Part, folder: Path, names: tuple[str, ...], rate: float | None, config: VideosConfig) -> FramesDataset | ClipsDataset:
    kept = part.kept
    if not kept.names:
        raise DataError(f"No clip on the {part.side} side of {config.path} can be decoded.")
    tracks = [action for track in kept.tracks for action in track or ()]
    numbers = {name: number for number, name in enumerate(names)}
    episodes = Episodes(
        frames=np.asarray(np.load(folder / f"{part.array}.npy", mmap_mode="r", allow_pickle=False))[part.frames],
        episode=np.repeat(np.arange(len(kept.lengths)), kept.lengths),
        names=tuple(kept.names),
        actions=np.array([numbers[action] for action in tracks], np.int64) if names else None,
        action_names=names,
        frame_rate=rate,
    )
    # Data with other numbers for the actions, or cut elsewhere, gets another name.
    facts = [*names, part.frames.start, part.frames.stop] if config.actions or part.frames.stop else None
    name = folder.name if facts is None else content_name(folder.name, facts)
    return dataset_of(episodes, config.clip_length, f"{name}-{part.side}")
