"""Recordings in tars, Parquet files and saved data sets."""

import logging

import numpy as np
import pytest
import torch

from tests.data.shards import samples, write_parquet, write_tar
from vqvae.data import AudioShardsConfig, recordings_of
from vqvae.data.audio_shards import has_audio_shards, shard_speakers
from vqvae.errors import ConfigError, DataError
from vqvae.media.sounds import read_audio, write_audio

pytest.importorskip("soundfile")
RATE = 8_000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def flacs(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("flacs"), np.random.default_rng(0)
    for number in range(30):
        write_audio(folder / f"{number:02d}.flac", random.uniform(-0.5, 0.5, 700 + 50 * number).astype(np.float32), RATE)
    return sorted(folder.iterdir())


def tar(path, flacs, labels=None):
    members = samples([file.read_bytes() for file in flacs], labels)
    write_tar(path, [(name.replace(".png", ".flac"), content) for name, content in members])
    return path


def build(place, **settings):
    return AudioShardsConfig(path=str(place), **{"rate": RATE, "chunk": 600, "hop": 100, **settings}).build()


def test_recordings_are_those_of_the_files(tmp_path, flacs):
    tar(tmp_path / "a.tar", flacs)
    write_parquet(tmp_path / "a.parquet", audio=[{"bytes": file.read_bytes(), "path": file.name} for file in flacs])
    splits = [build(tmp_path / name) for name in ("a.tar", "a.parquet")]
    wholes = {read_audio(file, RATE).tobytes() for file in flacs}
    for one, other in zip(*splits, strict=True):
        assert one.name == other.name and torch.equal(one.batch(np.arange(len(one))).x, other.batch(np.arange(len(other))).x)
    found = [recordings_of(side) for side in splits[0]]
    assert {one.clip(row).tobytes() for one in found for row in range(len(one.recordings))} == wholes
    assert found[0].recordings[3].name.startswith("a.tar#") and len(found[0].recordings) + len(found[1].recordings) == 30
    assert found[0].batch(np.arange(2)).x.shape == (2, 1, 600) and found[0].signal.sample_rate == RATE


def test_training_examples_overlap_and_may_be_shorter(tmp_path, flacs):
    train, held_out = build(tar(tmp_path / "a.tar", flacs), crop=300)
    assert train.batch(np.arange(1)).x.shape[-1] == 300 and held_out.batch(np.arange(1)).x.shape[-1] == 600
    assert len(train) > len(train.apart()) and len(held_out) == len(held_out.apart())
    assert len(build(tmp_path / "a.tar", crop=300, hop=300).train) < len(train)


def test_labels_are_speakers_if_all_have_one(tmp_path, flacs):
    names = ["ann", "bob", "cat"] * 10
    train, held_out = build(tar(tmp_path / "a.tar", flacs, names))
    assert train.label_names == held_out.label_names == ("ann", "bob", "cat")
    one = recordings_of(train)
    assert all(names[int(each.name.partition("#")[2])] == one.label_names[each.speaker] for each in one.recordings)
    assert shard_speakers(str(tmp_path / "a.tar")) == ("ann", "bob", "cat")
    tar(tmp_path / "sides" / "train.tar", flacs[:20], names[:20:3] * 3)
    tar(tmp_path / "sides" / "test.tar", flacs[20:], names[20:])
    assert shard_speakers(str(tmp_path / "sides")) == (), "a decoder could not learn those that are only held out"
    assert "train/" in build(tmp_path / "sides").train.found[0] and len(build(tmp_path / "sides").train.recordings) == 20
    write_tar(tmp_path / "b.tar", [("0.flac", flacs[0].read_bytes()), ("0.cls", b"ann"), ("1.flac", flacs[1].read_bytes())])
    assert build(tmp_path / "b.tar").train.label_names == ()


def test_recordings_are_decoded_once(tmp_path, flacs, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    first = build(tar(tmp_path / "a.tar", flacs))
    assert caplog.text.count("Decoding 30 recordings") == 1
    again = build(tar(tmp_path / "moved" / "b.tar", flacs))
    assert caplog.text.count("Decoding 30 recordings") == 1 and again.train.name == first.train.name
    names = {build(tmp_path / "a.tar", **change).train.name for change in ({"hop": 200}, {"crop": 300}, {"rate": 4_000}, {"chunk": 500})}
    names.add(build(tar(tmp_path / "c.tar", flacs, [1, 2] * 15)).train.name)
    assert len(names | {first.train.name}) == 6
    lengths = [recordings_of(build(tmp_path / "a.tar", rate=rate).train).recordings[0].samples for rate in (RATE, RATE // 2)]
    assert abs(lengths[0] / lengths[1] - 2) < 0.05, "decoded for each rate"


def test_bad_recordings_are_listed_or_left_out(tmp_path, flacs):
    members = [(f"{number}.flac", file.read_bytes()) for number, file in enumerate(flacs[:10])]
    write_tar(tmp_path / "a.tar", [*members[:4], ("x.flac", b"no sound"), *members[4:], ("y.txt", b"")])
    with pytest.raises(DataError, match=r"(?s)2 of 12 audio files.*item 11: it has the.*item 4 cannot be decoded.*--skip-bad"):
        build(tmp_path / "a.tar")
    train, held_out = build(tmp_path / "a.tar", skip_bad=True)
    clips = {one.clip(row).tobytes() for one in (train, held_out) for row in range(len(one.recordings))}
    assert clips == {read_audio(file, RATE).tobytes() for file in flacs[:10]}
    write_tar(tmp_path / "b.tar", [("x.flac", b"no sound"), ("y.flac", b"nor this")])
    with pytest.raises(DataError, match="No recording on the train side"):
        build(tmp_path / "b.tar", skip_bad=True)


def test_a_damaged_cache_is_named(tmp_path, flacs):
    build(tar(tmp_path / "a.tar", flacs))
    (samples_,) = (tmp_path / "cache").glob("vqvae/shards/recordings-*/samples.s16")
    samples_.write_bytes(b"12")
    with pytest.raises(DataError, match="damaged cache.*Remove it"):
        build(tmp_path / "a.tar")


def test_places_and_columns(tmp_path, flacs):
    write_parquet(tmp_path / "a.parquet", one=[flacs[0].read_bytes()] * 2, two=[b"1", b"2"])
    with pytest.raises(ConfigError, match="several columns.*--data.column"):
        build(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="holds no .tar"):
        build(flacs[0].parent)
    assert has_audio_shards(str(tmp_path)) and has_audio_shards(str(tmp_path / "a.parquet"))
    for number in range(2):
        (tmp_path / f"{number}.flac").write_bytes(b"x")
    assert not has_audio_shards(str(tmp_path)) and not has_audio_shards(str(flacs[0].parent)) and not has_audio_shards("nowhere")
