"""What every data set keeps to, run over every configuration of ``DataConfig``."""

import dataclasses
import io
import json
import tarfile
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae import config as configuration
from vqvae.data import (
    ArrayConfig,
    AudioFolderConfig,
    AudioShardsConfig,
    Cifar10Config,
    DataConfig,
    Dataset,
    GymConfig,
    ImageFolderConfig,
    ImageShardsConfig,
    Splits,
    SyntheticImagesConfig,
    VideosConfig,
    VoicesConfig,
    WorldsConfig,
    cifar10,
    in_order,
    write_audio,
)
from vqvae.media.video import write_video

_KINDS = typing.get_args(DataConfig)


def _image_folder(folder, random):
    for side, count in (("train", 12), ("val", 5)):
        for kind in ("a", "b"):
            (folder / side / kind).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(folder / side / kind / f"{number}.png")
    return ImageFolderConfig(path=str(folder), size=8, classes=True, mirror=True)


def _image_shards(folder, random):
    (folder / "shards").mkdir()
    for number in range(2):
        with tarfile.open(folder / "shards" / f"{number}.tar", "w") as tar:
            for item in range(15):
                file = io.BytesIO()
                Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(file, "PNG")
                for kind, content in (("png", file.getvalue()), ("cls", str(item % 3).encode())):
                    member = tarfile.TarInfo(f"{item:04d}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return ImageShardsConfig(path=str(folder / "shards"), size=8, mirror=True, cache=str(folder / "cache"))


def _array(folder, random):
    np.save(folder / "a.npy", random.integers(0, 256, (100, 8, 8, 3), dtype=np.uint8))
    return ArrayConfig(path=str(folder / "a.npy"))


def _cifar10(folder, random):
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        records = random.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")
    return Cifar10Config(path=str(folder))


def _worlds(folder, random):
    pytest.importorskip("vizdoom")
    return WorldsConfig(path=str(folder), episodes=2, frames_per_episode=6, size=16)


def _videos(folder, random):
    for side, count in (("train", 3), ("test", 2)):
        (folder / side).mkdir()
        for number in range(count):
            frames = random.integers(0, 256, (7, 3, 12, 12), dtype=np.uint8)
            write_video(folder / side / f"{number}.gif", frames, 10)
            (folder / side / f"{number}.jsonl").write_text('{"action": "left"}\n{"action": "right"}\n' * 3 + '{"action": "left"}')
    return VideosConfig(path=str(folder), size=8, clip_length=4, cache=str(folder / ".cache"))


def _gym(folder, random):
    pytest.importorskip("gymnasium")
    pytest.importorskip("pygame")
    return GymConfig(environment="CartPole-v1", episodes=3, steps=30, size=16, clip_length=2, path=str(folder))


def _synthetic(folder, random):
    return SyntheticImagesConfig(count=24)


def _audio_folder(folder, random):
    pytest.importorskip("soundfile")
    for number in range(6):
        samples = random.uniform(-0.5, 0.5, 1000 + 100 * number).astype(np.float32)
        write_audio(folder / f"{number % 2}" / f"{number}.wav", samples, 8_000)
    return AudioFolderConfig(path=str(folder), rate=8_000, chunk=300, hop=200, cache=str(folder / ".cache"))


def _audio_shards(folder, random):
    pytest.importorskip("soundfile")
    with tarfile.open(folder / "a.tar", "w") as tar:
        for number in range(8):
            write_audio(folder / "one.wav", random.uniform(-0.5, 0.5, 1000 + 100 * number).astype(np.float32), 8_000)
            tar.add(folder / "one.wav", f"{number}.wav")
            member = tarfile.TarInfo(f"{number}.cls")
            member.size = 1
            tar.addfile(member, io.BytesIO(str(number % 2).encode()))
    return AudioShardsConfig(path=str(folder / "a.tar"), rate=8_000, chunk=300, hop=200, cache=str(folder / "cache"))


def _voices(folder, random):
    pytest.importorskip("espeakng_loader")
    return VoicesConfig(voices=("en-us+f1", "en-us+m3"), unseen_voices=("en-us+f5",), sentences=3, rate=8_000, chunk=4_000, hop=2_000)


_SAMPLES = {
    ImageFolderConfig: _image_folder,
    ImageShardsConfig: _image_shards,
    ArrayConfig: _array,
    Cifar10Config: _cifar10,
    WorldsConfig: _worlds,
    GymConfig: _gym,
    VideosConfig: _videos,
    SyntheticImagesConfig: _synthetic,
    AudioFolderConfig: _audio_folder,
    AudioShardsConfig: _audio_shards,
    VoicesConfig: _voices,
}
_AUDIO = (AudioFolderConfig, AudioShardsConfig, VoicesConfig)
_CLIPS = (GymConfig, VideosConfig)


@pytest.fixture(scope="module", params=_KINDS, ids=lambda kind: kind.__name__)
def config(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "_IMAGES_PER_FILE", 4)
        yield _SAMPLES[request.param](tmp_path_factory.mktemp("data"), np.random.default_rng(0))


@pytest.fixture(scope="module")
def splits(config):
    return config.build()


@pytest.fixture(params=Splits._fields)
def dataset(request, splits) -> Dataset:
    return getattr(splits, request.param)


def _equal(one, other):
    flat = [(batch.x, batch.condition.label, batch.condition.actions) for batch in (one, other)]
    return all(a is b is None or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in zip(*flat, strict=True))


def test_a_batch_is_raw_with_channels_first(config, dataset):
    batch = dataset.batch(np.arange(len(dataset)))
    if isinstance(config, _AUDIO):
        assert batch.x.dtype == torch.float32 and batch.x.shape == (len(dataset), 1, config.chunk) and batch.x.abs().max() <= 1
        assert batch.mask is None or (batch.mask.dtype == torch.bool and batch.mask.shape == (len(dataset), config.chunk))
    elif isinstance(config, _CLIPS):
        assert batch.x.dtype == torch.uint8 and batch.x.shape[:3] == (len(dataset), 3, config.clip_length) and batch.mask is None
    else:
        assert batch.x.dtype == torch.uint8 and batch.x.ndim == 4 and batch.x.shape[:2] in ((len(dataset), 3), (len(dataset), 1))
        assert batch.mask is None
    assert batch.x.is_contiguous() and batch.x.to(torch.float32).std() > 0
    assert batch.condition.codes == ()


def test_conditions_are_in_range_of_their_names(dataset):
    condition = dataset.batch(np.arange(len(dataset))).condition
    assert (condition.label is None) == (not dataset.label_names)
    assert (condition.actions is None) == (not dataset.action_names)
    if condition.label is not None:
        assert condition.label.dtype == torch.int64 and condition.label.shape == (len(dataset),)
        assert condition.label.min() >= 0 and condition.label.max() < len(dataset.label_names)
    if condition.actions is not None:
        times = len(dataset.batch(np.arange(1)).x[0, 0]) if "time" in dataset.signal.axes else 1
        assert condition.actions.dtype == torch.int64 and condition.actions.shape == (len(dataset), times)
        assert condition.actions.min() >= 0 and condition.actions.max() < len(dataset.action_names)


def test_any_order_and_repeats_give_the_same_examples(dataset):
    whole = dataset.batch(np.arange(len(dataset)))
    indices = np.random.default_rng(0).integers(0, len(dataset), 2 * len(dataset))
    picked = dataset.batch(indices)
    assert torch.equal(picked.x, whole.x[indices])
    for name in ("label", "actions"):
        if getattr(whole.condition, name) is not None:
            assert torch.equal(getattr(picked.condition, name), getattr(whole.condition, name)[indices])


def test_no_indices_give_an_empty_batch(dataset):
    assert dataset.batch(np.arange(0)).x.shape == (0, *dataset.batch(np.arange(1)).x.shape[1:])


def test_a_batch_is_a_pure_function_that_threads_may_share(dataset):
    indices = np.arange(min(4, len(dataset)))
    expected = dataset.batch(indices)
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(dataset.batch, [indices] * 16))
    assert all(_equal(batch, expected) for batch in batches)
    batches[0].x.zero_()
    assert _equal(dataset.batch(indices), expected)


def test_batches_join_to_the_whole(dataset):
    whole = dataset.batch(np.arange(len(dataset)))
    assert torch.equal(torch.cat([batch.x for batch in in_order(dataset, 3)]), whole.x)


def test_the_sides_share_no_example_and_have_their_own_names(splits):
    sides = [{x.numpy().tobytes() for x in side.batch(np.arange(len(side))).x} for side in splits]
    assert all(sides) and not sides[0] & sides[1]
    assert splits.train.name != splits.held_out.name
    assert splits.train.label_names == splits.held_out.label_names
    assert splits.train.action_names == splits.held_out.action_names


def test_the_same_configuration_builds_the_same_data(config, splits):
    for one, other in zip(splits, config.build(), strict=True):
        assert one.name == other.name and len(one) == len(other)
        assert _equal(one.batch(np.arange(len(one))), other.batch(np.arange(len(other))))


def test_the_configuration_goes_through_json(config):
    assert configuration.from_json(DataConfig, json.loads(configuration.dumps(config))) == config


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_frozen_keyword_only_and_small(kind):
    assert kind.__dataclass_params__.frozen and all(field.kw_only for field in dataclasses.fields(kind))
    assert len(dataclasses.fields(kind)) <= 10
