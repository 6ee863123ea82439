"""Items of tokenized data in their order, from any place, and no shard that was changed."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tokenization.conftest import RUN
from tests.tokenization.sources import Pictures
from vqvae.data.tokenized import Tokenized
from vqvae.errors import DataError
from vqvae.pipeline import load
from vqvae.tokenization.bulk import tokenize_records
from vqvae.tokenization.plan import Plan, Reading
from vqvae.tokenization.worker import Job

HEIGHTS = [4, 8, 0, 4, 4, 12, 4, 4]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures of several sizes in shards of three, one of them bad."""
    out, model, source = tmp_path_factory.mktemp("tokens") / "out", load(RUN), Pictures(HEIGHTS, "int", has_actions=True)
    plan = Plan.of(model, source.facts, format="parquet", shard_size=3, reading=Reading())
    tokenize_records(Job(run=RUN, records=source, plan=plan, out=out), model, "local", 1)
    return out


def test_items_come_in_order_from_any_place(folder: Path) -> None:
    found, model = Tokenized(folder), load(RUN)
    items = [*found.items()]
    numbers = [number for number, height in enumerate(HEIGHTS) if height]
    assert len(found) == 7 and [item.id for item in items] == [str(number) for number in numbers]
    for item, number in zip(items, numbers, strict=True):
        (record,) = Pictures(HEIGHTS).read(number, number + 1)
        assert np.array_equal(item.codes[0], model.encode_each([record.data])[0].tensor[0].numpy())
        assert item.label == number and np.asarray(item.actions).tolist() == [*range(number)]
    for start, stop in itertools.combinations(range(8), 2):
        assert [item.id for item in found.items(start, stop)] == [item.id for item in items[start:stop]]
    assert found.largest() == [(1, 6, 2)]


def test_a_shard_is_checked_when_it_is_read(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    last = sorted((copy / "shards").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"x")
    items = Tokenized(copy).items()
    assert [next(items).id for _ in range(5)] == ["0", "1", "3", "4", "5"]
    with pytest.raises(DataError, match=r"shard-000002.parquet is not the shard that the manifest names"):
        next(items)
    last.unlink()
    with pytest.raises(DataError, match=r"cannot be read .*Tokenize the data again"):
        [*Tokenized(copy).items()]


@pytest.mark.parametrize("change", [lambda text: text[:40], lambda text: text.replace('"items"', '"item"'), lambda text: "[]"])
def test_a_damaged_manifest_is_named(folder: Path, tmp_path: Path, change) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "manifest.json").write_text(change((copy / "manifest.json").read_text()))
    with pytest.raises(DataError, match=r"manifest.json is damaged"):
        Tokenized(copy)


def test_a_folder_without_shards_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="vqvae tokenize RUN DATA --out DIR"):
        Tokenized(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["plan"]["format"] = "webdataset"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="only Parquet is read back"):
        Tokenized(copy)
