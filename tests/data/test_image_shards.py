"""Pictures in tars, Parquet files and saved data sets."""

import logging

import datasets
import numpy as np
import pytest
import torch

from tests.data.shards import pngs, samples, write_arrow, write_parquet, write_tar
from vqvae.data import ImageShardsConfig, Loader, ShardedImages
from vqvae.data.shard_sides import open_shards
from vqvae.errors import ConfigError, DataError
from vqvae.media.images import read_image

PNGS = pngs(60)
PIXELS = np.stack([read_image("x", content=content) for content in PNGS])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def build(place, **settings):
    return ImageShardsConfig(path=str(place), **{"size": 8, **settings}).build()


def tars(folder, parts=3, labels=None):
    for part in range(parts):
        rows = range(part, 60, parts)
        some = None if labels is None else [labels[row] for row in rows]
        write_tar(folder / f"{part}.tar", samples([PNGS[row] for row in rows], some))
    return folder


def everything(dataset):
    return dataset.batch(np.arange(len(dataset)))


def test_tars_tables_and_saved_data_sets_give_the_same_examples(tmp_path):
    labels = [number % 3 for number in range(60)]
    tars(tmp_path / "tars", 1, labels)
    for part in range(2):
        half = {"image": PNGS[30 * part : 30 * part + 30], "label": labels[30 * part : 30 * part + 30]}
        write_parquet(tmp_path / "tables" / f"{part}.parquet", **half)
        write_arrow(tmp_path / "arrow" / f"{part}.arrow", "lz4", **half)
    files = [{"bytes": content, "path": None} for content in PNGS]
    datasets.Dataset.from_dict({"image": files, "label": labels}).cast_column("image", datasets.Image()).save_to_disk(tmp_path / "saved")
    splits = [build(tmp_path / name) for name in ("tars", "tables", "arrow", "saved")]
    for train, held_out in splits:
        assert isinstance(train, ShardedImages) and (train.name, held_out.name) == (splits[0].train.name, splits[0].held_out.name)
        assert torch.equal(everything(train).x, everything(splits[0].train).x)
        assert torch.equal(everything(train).condition.label, everything(splits[0].train).condition.label)
        assert train.label_names == ("0", "1", "2")
        few = train.batch(np.array([7, 2, 5]))
        assert torch.equal(few.x, everything(train).x[[7, 2, 5]])
        assert torch.equal(few.condition.label, everything(train).condition.label[[7, 2, 5]])
    both = np.concatenate([everything(side).x.numpy() for side in splits[0]])
    assert sorted(map(bytes, both)) == sorted(map(bytes, PIXELS))


def test_classes_of_datasets_have_names(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog", "cow"])})
    files = [{"bytes": content, "path": None} for content in PNGS]
    saved = datasets.Dataset.from_dict({"image": files, "kind": [number % 2 for number in range(60)]}, features=features)
    datasets.DatasetDict({"train": saved.select(range(50)), "test": saved.select(range(50, 60))}).save_to_disk(tmp_path / "saved")
    train, held_out = build(tmp_path / "saved", label_column="kind")
    assert (len(train), len(held_out)) == (50, 10) and train.label_names == held_out.label_names == ("cat", "dog", "cow")
    assert everything(held_out).condition.label.tolist() == [0, 1] * 5
    assert np.array_equal(everything(held_out).x, PIXELS[50:])
    assert build(tmp_path / "saved").train.label_names == (), "no column is called label"


@pytest.mark.parametrize(
    ("train", "held_out", "unused"),
    [
        ("train/0.tar", "val/0.tar", "other/0.tar"),
        ("train-00000-of-00001.tar", "validation-00000-of-00001.tar", "test-00000-of-00001.tar"),
        ("pictures-train-000.tar", "pictures-test-000.tar", "notes.tar"),
    ],
)
def test_names_of_folders_and_files_are_sides(tmp_path, train, held_out, unused):
    for name, rows in ((train, slice(0, 40)), (held_out, slice(40, 50)), (unused, slice(50, 60))):
        write_tar(tmp_path / "data" / name, samples(PNGS[rows]))
    sides = build(tmp_path / "data")
    assert np.array_equal(everything(sides.train).x, PIXELS[:40]) and np.array_equal(everything(sides.held_out).x, PIXELS[40:50])
    assert "Training on train/" in sides.train.found[0]


def test_a_side_alone_in_a_name_says_nothing(tmp_path):
    write_tar(tmp_path / "data" / "test-0.tar", samples(PNGS))
    train, held_out = build(tmp_path / "data")
    assert 0 < len(held_out) < 10 and len(train) + len(held_out) == 60


def test_equal_pictures_are_on_one_side_and_none_moves(tmp_path):
    train, held_out = build(tars(tmp_path / "some"))
    write_tar(tmp_path / "more" / "0.tar", samples([*PNGS, *pngs(200, seed=1), *PNGS]))
    more_train, more_held_out = build(tmp_path / "more")
    assert {bytes(x) for x in everything(train).x.numpy()} <= {bytes(x) for x in everything(more_train).x.numpy()}
    assert {bytes(x) for x in everything(held_out).x.numpy()} <= {bytes(x) for x in everything(more_held_out).x.numpy()}
    write_tar(tmp_path / "same" / "0.tar", samples([PNGS[0]] * 5))
    with pytest.raises(DataError, match=r"same has 5 examples, all the same"):
        build(tmp_path / "same")


def test_batches_depend_on_the_seed_and_the_step_alone(tmp_path):
    train = build(tars(tmp_path / "data"), mirror=True).train
    whole = [batch.x for _, batch in Loader(train, batch_size=16, seed=3, steps=12, workers=1)]
    for settings in ({"workers": 4}, {"workers": 3, "first_step": 7}):
        loader = Loader(train, batch_size=16, seed=3, steps=12, **settings)
        assert all(torch.equal(batch.x, whole[step]) for step, batch in loader)
    for rank in range(2):
        parts = Loader(train, batch_size=16, seed=3, steps=12, rank=rank, world_size=2)
        assert all(torch.equal(batch.x, whole[step][8 * rank : 8 * rank + 8]) for step, batch in parts)
    assert not torch.equal(next(iter(Loader(train, batch_size=16, seed=4, steps=1)))[1].x, whole[0])


def test_the_name_follows_the_pictures_not_their_place(tmp_path):
    names = [build(tars(tmp_path / "one")).train.name, build(tars(tmp_path / "two")).train.name]
    names += [build(tmp_path / "one", **settings).train.name for settings in ({"size": 4}, {"mirror": True}, {"channels": 1})]
    write_tar(tmp_path / "two" / "2.tar", samples([*pngs(1, seed=2), *(PNGS[row] for row in range(5, 60, 3))]))
    names.append(build(tmp_path / "two").train.name)
    labels = [number % 2 for number in range(60)]
    names += [build(tars(tmp_path / "labels", 3, labels)).train.name, build(tars(tmp_path / "labels", 3, labels[::-1])).train.name]
    assert names[0] == names[1] and len(set(names)) == len(names) - 1


def test_pictures_are_cut_and_resized_as_in_folders(tmp_path):
    write_tar(tmp_path / "a.tar", samples(pngs(6, (20, 30)) + pngs(6, (9, 5))))
    train, _ = build(tmp_path / "a.tar", size=(8, 12), channels=1)
    assert everything(train).x.shape == (len(train), 1, 8, 12) and train.signal.channels == 1
    deep = build(tmp_path / "a.tar", levels=65_536).train
    assert everything(deep).x.dtype == torch.int32 and deep.signal.levels == 65_536


def test_labels_that_are_no_classes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for labels, reason in (
        (list(range(60)), "they have fewer than two items each"),
        (["one"] * 60, "there is only one"),
    ):
        assert build(tars(tmp_path / "data", 3, labels)).train.label_names == ()
        assert f"The labels are not taken for classes: {reason}." in caplog.text
    assert len(build(tmp_path / "data", classes=True).train.label_names) == 1
    some = [member for member in samples(PNGS, [1, 2] * 30) if member[0] != "000004.cls"]
    write_tar(tmp_path / "some.tar", some)
    assert build(tmp_path / "some.tar").train.label_names == () and "some items have none" in caplog.text
    with pytest.raises(DataError, match="has labels, but some items have none"):
        build(tmp_path / "some.tar", classes=True)
    with pytest.raises(DataError, match="has no labels.*--data.label-column"):
        build(tars(tmp_path / "plain"), classes=True)
    write_tar(tmp_path / "two.tar", samples(PNGS, [1, 2] * 30))
    assert build(tmp_path / "two.tar").train.label_names == ("0", "1", "2")
    assert build(tmp_path / "two.tar", classes=False).train.batch(np.arange(2)).condition.label is None


def test_a_mirrored_copy_follows_the_pictures(tmp_path):
    place = tars(tmp_path / "data")
    plain, doubled = (build(place, mirror=mirror).train for mirror in (False, True))
    x = everything(plain).x
    assert torch.equal(everything(doubled).x, torch.cat([x, x.flip(-1)]))


def test_bad_items_are_listed_or_left_out(tmp_path):
    members = [("a.txt", b"x"), *samples(PNGS[:20]), ("b.png", b"")]
    write_tar(tmp_path / "a.tar", members)
    with pytest.raises(DataError, match=r"(?s)2 of 22 image files.*a.tar, item 0: it has the.*item 21: it has no bytes.*--skip-bad"):
        build(tmp_path / "a.tar")
    train, held_out = build(tmp_path / "a.tar", skip_bad=True)
    assert len(train) + len(held_out) == 20


def test_a_picture_that_cannot_be_decoded_is_named_or_replaced(tmp_path, caplog):
    contents = [*PNGS[:8], b"no picture", PNGS[8][:60], *PNGS[9:40]]
    write_tar(tmp_path / "data" / "train.tar", samples(contents, [number // 9 for number in range(41)]))
    write_tar(tmp_path / "data" / "test.tar", samples(PNGS[40:], [0] * 20))
    train, _ = build(tmp_path / "data")
    assert len(train.batch(np.arange(8)).x) == 8
    with pytest.raises(DataError, match=r"train.tar, item 8 cannot be decoded: not a .*Replace or remove it, or skip .*--skip-bad"):
        train.batch(np.arange(8, 9))
    skipping, _ = build(tmp_path / "data", skip_bad=True)
    assert skipping.name == train.name and len(skipping) == len(train), "a run goes on with the rest"
    for _ in range(2):
        found = skipping.batch(np.array([7, 8, 9, 10]))
        assert np.array_equal(found.x, PIXELS[[7, 9, 9, 9]])
        assert found.condition.label.tolist() == [0, 1, 1, 1]
    assert caplog.text.count("Skipped") == 2 and "item 9 cannot be decoded" in caplog.text


def test_nothing_but_bad_pictures_is_an_error(tmp_path):
    write_tar(tmp_path / "a.tar", samples([bytes([number]) for number in range(30)]))
    with pytest.raises(DataError, match="pictures in a row cannot be decoded. The last one: .*a.tar, item"):
        build(tmp_path / "a.tar", skip_bad=True).train.batch(np.arange(2))


def test_places_without_shards_and_missing_columns(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere", "*.tar"):
        with pytest.raises(DataError, match=r"holds no .tar, .parquet or .arrow files"):
            build(tmp_path / place)
    write_parquet(tmp_path / "a.parquet", image=PNGS, thumb=PNGS)
    with pytest.raises(ConfigError, match=r"several columns.*image \(bytes\), thumb \(bytes\).*--data.column"):
        build(tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match="no column 'picture'"):
        build(tmp_path / "a.parquet", column="picture")
    assert len(build(tmp_path / "a.parquet", column="image").train)
    write_tar(tmp_path / "sides" / "train.tar", samples(PNGS[:9]))
    write_tar(tmp_path / "sides" / "test.tar", [("0.png", b"")])
    with pytest.raises(DataError, match="no items to hold out. Training on train/"):
        build(tmp_path / "sides", skip_bad=True)


def test_only_numbers_of_items_are_in_memory(tmp_path):
    found = open_shards(str(tars(tmp_path / "data")), (".png",))
    assert found.train.dtype == found.held_out.dtype == np.uint32
    assert len(np.concatenate([found.train, found.held_out])) == len({*found.train, *found.held_out}) == 60
