"""Find the files of a data set, and report those that cannot be decoded."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vqvae.disk import explained
from vqvae.errors import DataError

_log = logging.getLogger(__name__)


LEFT_BEHIND = ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
"""Folders, in lower case, that systems and archives leave in users' folders."""
_KINDS_SHOWN = 4


def find_files(root: Path, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    """The files below ``root`` with one of the suffixes (upper or lower case), as sorted POSIX paths relative to it.

    Hidden files and folders are ignored, and so are the folders in ``LEFT_BEHIND``. Links are followed, except back to a parent.

    Raises:
        DataError: if a folder cannot be read.
    """

    def walk(folder: Path, seen: frozenset[str]) -> Iterator[str]:
        real = os.path.realpath(folder)
        if real in seen:
            return
        with explained(DataError, folder, "cannot be read", "Check its permissions."), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in LEFT_BEHIND:
                    continue
                if entry.is_dir():
                    yield from walk(folder / entry.name, seen | {real})
                elif entry.is_file() and entry.name.lower().endswith(suffixes):
                    yield (folder / entry.name).relative_to(root).as_posix()

    return sorted(walk(root, frozenset()))


def of_kind(files: Sequence[str], suffixes: tuple[str, ...]) -> tuple[list[str], str]:
    """The files with one of the suffixes, and a summary of the others: ``3 .txt, 1 .mov``, or "" if there are none."""
    chosen = [file for file in files if file.lower().endswith(suffixes)]
    others = Counter(Path(file).suffix.lower() or "without suffix" for file in files if not file.lower().endswith(suffixes))
    words = [f"{count:,} {kind}" for kind, count in others.most_common(_KINDS_SHOWN)]
    rest = sum(others.values()) - sum(count for _, count in others.most_common(_KINDS_SHOWN))
    return chosen, ", ".join([*words, *([f"{rest:,} others"] if rest else [])])


def report_bad(bad: Mapping[str, str], count: int, kind: str, skip: bool) -> None:
    """Report the files that cannot be decoded, with the reasons: a warning for each if they are skipped.

    Args:
        bad: the reason for each of these files.
        count: the number of all files.
        kind: what the files hold, such as "image".
        skip: whether to go on without the bad files.

    Raises:
        DataError: if there are bad files and ``skip`` is false.
    """
    if skip:
        for reason in bad.values():
            _log.warning("Skipped: %s", reason)
    elif bad:
        first = "\n  ".join(list(bad.values())[:5])
        more = f"\n  and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{len(bad)} of {count} {kind} files cannot be decoded:\n  {first}{more}\nReplace or remove them, or skip them with --skip-bad."
        )
