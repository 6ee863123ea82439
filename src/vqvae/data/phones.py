"""Which phone is spoken when: alignments of recordings, as JSON lines or as Praat's TextGrids."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from vqvae.config import loads
from vqvae.data.cache import user_path
from vqvae.errors import DataError

SILENCES = frozenset({"", "SIL", "<SIL>", "SP", "<SP>", "SPN", "<SPN>", "NSN", "<NSN>", "PAU", "H#", "#", "<EPS>"})
"""Labels, in capitals, that are not phones: silence, pauses, and spoken or other noise, as aligners write them."""

_LARGEST = 2**25
"""The largest TextGrid, in bytes: enough for some hours of speech. A damaged file must not take all memory."""


class Phone(NamedTuple):
    """One phone of a recording."""

    start: float
    """The start, in seconds from the start of the recording."""
    end: float
    """The end, in seconds; it no longer belongs to the phone."""
    label: str
    """The name, such as ``AH0``. For silence, one of ``SILENCES``, in upper or lower case."""


def read_phones(path: str | Path, *, strip_stress: bool = False) -> dict[str, tuple[Phone, ...]]:
    """Read alignments, by the path of their recording.

    Three forms are read: a ``.jsonl`` file with a line ``{"file": "a/b.flac", "phones": [[start, end, "AH0"], ...]}`` for each recording;
    one ``.TextGrid`` in Praat's long or short text format, with an interval tier named ``phones``; or a folder of TextGrids at the paths
    of their audio files, as the Montreal Forced Aligner writes them. Names in a folder are relative to it. A TextGrid does not state the
    suffix of its audio file; ``check_phones`` gives every alignment the name of its recording.

    Args:
        path: the file or the folder.
        strip_stress: remove the digit from ARPAbet vowels, so that ``AH0`` and ``AH1`` are both ``AH``.

    Raises:
        DataError: if there is no such file, or a file is not UTF-8 (or UTF-16 with a byte order mark, as Praat also writes), is not an
            alignment, or has times that run backwards or are not finite.
    """
    path = user_path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".textgrid")
        if not files:
            raise DataError(f"{path} holds no .TextGrid files, nor do its sub-folders.")
        phones = {file.relative_to(path).with_suffix("").as_posix(): _read_text_grid(file) for file in files}
    elif path.suffix.lower() == ".textgrid":
        phones = {path.stem: _read_text_grid(path)}
    elif path.suffix.lower() == ".jsonl":
        phones = _read_lines(path)
    else:
        raise DataError(f"{path} is not an alignment. Give a .jsonl file, a .TextGrid file, or a folder of TextGrids.")
    if strip_stress:
        return {
            name: tuple(phone._replace(label=re.sub(r"(?<=[A-Z])[012]$", "", phone.label)) for phone in of) for name, of in phones.items()
        }
    return phones


def check_phones(phones: Mapping[str, tuple[Phone, ...]], names: Iterable[str]) -> dict[str, tuple[Phone, ...]]:
    """The alignments of the recordings ``names``, by name. Recordings without one are omitted, and so are alignments of other recordings.

    Raises:
        DataError: if none of the recordings has an alignment.
    """
    names = tuple(names)
    candidates = ((name, phones.get(name, phones.get(_without_suffix(name)))) for name in names)
    found = {name: of for name, of in candidates if of is not None}
    if not found:
        raise DataError(
            f"None of the {len(names)} recordings has an alignment: there is none for {_some(names)}, only for {_some(tuple(phones))}. "
            "The paths in an alignment must be relative to the folder of the recordings."
        )
    return found


def labels_at(phones: Sequence[Phone], times: Iterable[float]) -> list[str | None]:
    """The label at each of the times (seconds, in any order): the phone with start ≤ time < end, or None without a phone."""
    times = np.fromiter(times, np.float64)
    # The last phone that has begun: phones are in order and do not overlap.
    places = np.searchsorted([phone.start for phone in phones], times, side="right") - 1
    return [
        phones[place].label if place >= 0 and time < phones[place].end else None for place, time in zip(places, times.tolist(), strict=True)
    ]


def _read_lines(path: Path) -> dict[str, tuple[Phone, ...]]:
    phones: dict[str, tuple[Phone, ...]] = {}
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number},"
        try:
            entry = loads(line)
            name, rows = entry["file"], [(start, end, label) for start, end, label in entry["phones"]]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f'{where} is not of the form {{"file": "a/b.flac", "phones": [[0.0, 0.16, "AH"], ...]}}.') from error
        if name in phones:
            raise DataError(f"{where} is a second alignment of {name}. Remove one.")
        phones[name] = _checked(rows, where)
    return phones


# The tokens that matter in Praat's text files: strings (a quote inside is doubled), flags, and numbers that stand alone. The long form
# has words around them, which are skipped; the short form has none. A comment runs from an exclamation mark to the end of its line.
# Runs of other letters match possessively (``*+``): backtracking would need 140 bytes per letter.
_TOKEN = re.compile(r'"([^"]*+(?:""[^"]*+)*)"|(<\w+>)|(?<!\S)([-+]?\d[-+.\deE]*)(?!\S)|![^\n]*')


def _read_text_grid(path: Path) -> tuple[Phone, ...]:
    """The intervals of the tier ``phones``: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html."""
    tokens = _tokens(_read_text(path, at_most=_LARGEST))
    names: list[str] = []
    try:
        if [next(tokens), next(tokens)] != ["ooTextFile", "TextGrid"]:
            raise DataError(f"{path} is not a TextGrid in text format. Save it in Praat with 'Save as text file...'.")
        _, _, _, count = (next(tokens) for _ in range(4))
        for _ in range(int(count)):
            kind, name, _, _, size = (next(tokens) for _ in range(5))
            width = 3 if kind == "IntervalTier" else 2
            rows = [tuple(next(tokens) for _ in range(width)) for _ in range(int(size))]
            if kind == "IntervalTier" and name == "phones":
                return _checked([(float(start), float(end), label) for start, end, label in rows], f"{path}")
            names.append(name)
    except (StopIteration, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is cut short or not a TextGrid.") from error
    raise DataError(f"{path} has no tier of intervals named 'phones'; it has {names}.")


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        string, flag, number = match.groups()
        if string is not None:
            yield string.replace('""', '"')
        elif flag or number:
            yield flag or number


def _read_text(path: Path, at_most: int | None = None) -> str:
    try:
        size = path.stat().st_size
        if at_most is not None and size > at_most:
            raise DataError(f"{path} has {size} bytes; at most {at_most} are expected. Cut the recording and its alignment into parts.")
        content = path.read_bytes()
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} cannot be read. Save it as UTF-8.") from error


def _checked(rows: Iterable[tuple[Any, Any, Any]], where: str) -> tuple[Phone, ...]:
    phones: list[Phone] = []
    last = 0.0
    for start, end, label in rows:
        if not (isinstance(start, int | float) and isinstance(end, int | float) and isinstance(label, str)):
            raise DataError(f"{where} has the phone {[start, end, label]}; it must be two times in seconds and a label.")
        # Half a millisecond: times that are rounded to milliseconds may overlap this much.
        if not (math.isfinite(end) and last - 0.0005 <= start <= end):
            raise DataError(
                f"{where} has a phone {label!r} from {start} s to {end} s after one that ends at {last} s: times must not run backwards."
            )
        phones.append(Phone(float(start), float(end), label.strip()))
        last = float(end)
    return tuple(phones)


def _without_suffix(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} others" if len(names) > 3 else "")
