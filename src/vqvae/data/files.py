"""The files of a folder that are data, and what is said about those that cannot be decoded."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vqvae.errors import DataError

_log = logging.getLogger(__name__)


LEFT_BEHIND = ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
"""Folders, in lower case, that systems and archives leave in the folders of users."""
_KINDS_SHOWN = 4


def find_files(root: Path, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    """The files below ``root`` with one of the suffixes, in any case, as sorted POSIX paths relative to it.

    Hidden files and folders and those of ``LEFT_BEHIND`` are left out. Links are followed, except back to a parent.
    """

    def walk(folder: Path, seen: frozenset[str]) -> Iterator[str]:
        real = os.path.realpath(folder)
        if real in seen:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in LEFT_BEHIND:
                    continue
                if entry.is_dir():
                    yield from walk(folder / entry.name, seen | {real})
                elif entry.is_file() and entry.name.lower().endswith(suffixes):
                    yield (folder / entry.name).relative_to(root).as_posix()

    return sorted(walk(root, frozenset()))


def of_kind(files: Sequence[str], suffixes: tuple[str, ...]) -> tuple[list[str], str]:
    """The files with one of the suffixes, and the others in words: ``3 .txt, 1 .mov``; "" if there are none."""
    chosen = [file for file in files if file.lower().endswith(suffixes)]
    others = Counter(Path(file).suffix.lower() or "without suffix" for file in files if not file.lower().endswith(suffixes))
    words = [f"{count:,} {kind}" for kind, count in others.most_common(_KINDS_SHOWN)]
    rest = sum(others.values()) - sum(count for _, count in others.most_common(_KINDS_SHOWN))
    return chosen, ", ".join([*words, *([f"{rest:,} others"] if rest else [])])


def report_bad(bad: Mapping[str, str], count: int, kind: str, skip: bool) -> None:
    """Warn of the files that cannot be decoded, each with its reason, where they may be skipped.

    Args:
        bad: the reason for each of them.
        count: how many files there are in all.
        kind: what they are, such as "image".
        skip: whether the data set goes on without them.

    Raises:
        DataError: there are some, and they may not be skipped.
    """
    if skip:
        for reason in bad.values():
            _log.warning("Skipped: %s", reason)
    elif bad:
        first = "\n  ".join(list(bad.values())[:5])
        more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{len(bad)} of {count} {kind} files cannot be decoded:\n  {first}{more}\n"
            "Mend or remove them, or leave them out with --skip-bad."
        )
