"""The files of a folder as records. Sub-folders may be classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vqvae.data.records.base import Facts, Names, Record, Records, digest_of
from vqvae.data.sides import HELD_OUT, TRAIN
from vqvae.disk import explained
from vqvae.errors import DataError


class FileRecords(Records):
    """Each file is an item. Its id is its path in the folder. If every file lies in a sub-folder, the first one is its label; a folder
    with the name of a side, such as ``train/``, is skipped."""

    def __init__(self, root: Path, files: Sequence[str], known: Sequence[str] = ()) -> None:
        """Look at the names and sizes of the files.

        Args:
            root: the folder.
            files: paths relative to it, sorted.
            known: the names of the labels of a model. They are used if they have all labels of the folder.

        Raises:
            DataError: if a file is gone.
        """
        groups = [_group(file) for file in files]
        found = set(groups)
        names = () if "" in found else tuple(known) if found <= set(known) else tuple(sorted(found))
        with explained(DataError, root, "cannot be read", "Wait until nothing writes to it."):
            sizes = [(root / file).stat().st_size for file in files]
        digest = digest_of([[file, size] for file, size in zip(files, sizes, strict=True)])
        self.facts = Facts("files", digest, len(files), "int" if names else "", names)
        self._root, self._names = root, Names(list(files))
        self._numbers = {name: number for number, name in enumerate(names)}

    def read(self, start: int, stop: int) -> Iterator[Record]:
        for number in range(start, stop):
            name = self._names[number]
            yield Record(name, self._root / name, self._numbers.get(_group(name)))


def _group(file: str) -> str:
    """The first folder in a path that is not a side; "" if there is none."""
    folders = file.split("/")[:-1]
    if folders and folders[0].casefold() in (*TRAIN, *HELD_OUT):
        folders = folders[1:]
    return folders[0] if folders else ""
