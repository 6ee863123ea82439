"""Sources for tests."""

from collections.abc import Iterator

import numpy as np

from vqvae.data.records.base import BadRecord, Facts, Record, Records


class Pictures(Records):
    """Pictures of these heights; 0 is a bad item. Labels and actions if wanted."""

    def __init__(self, heights: list[int], labels: str = "", has_actions: bool = False) -> None:
        self.heights = heights
        self.facts = Facts("test", f"{heights}", len(heights), labels, has_actions=has_actions)

    def read(self, start: int, stop: int) -> Iterator[Record | BadRecord]:
        for number in range(start, stop):
            height = self.heights[number]
            if height == 0:
                yield BadRecord(f"{number}", "it is bad")
                continue
            x = np.random.default_rng(number).integers(0, 256, (3, height, 4), dtype=np.uint8)
            label = {"": None, "int": number, "text": f"n{number}"}[self.facts.labels]
            yield Record(f"{number}", x, label, tuple(range(number)) if self.facts.has_actions else None)
