"""``vqvae.tokenize`` from Python: any source, any kind of model."""

import io
import tarfile

import datasets
import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

import vqvae
from tests.tokenization.conftest import RUN
from vqvae.data import write_audio
from vqvae.errors import ConfigError, DataError

SPEECH = RUN.parents[1] / "run-speech" / "run"
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def codes_in(out):
    return {row["id"]: row["codes"] for row in pyarrow.parquet.read_table(out / "shards").to_pylist()}


def test_every_source_gives_the_same_codes(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "a.tar", "w") as tar:
        for number, pixels in enumerate(PIXELS):
            (tmp_path / "files" / f"{number}.png").write_bytes(png(pixels))
            tar.add(tmp_path / "files" / f"{number}.png", f"{number}.png")
    contents = [png(pixels) for pixels in PIXELS]
    pyarrow.parquet.write_table(pyarrow.table({"image": contents, "note": contents, "label": range(6)}), tmp_path / "a.parquet")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])})
    rows = {"image": [Image.fromarray(pixels) for pixels in PIXELS], "label": [0, 1] * 3}
    datasets.Dataset.from_dict(rows, features).save_to_disk(tmp_path / "saved")
    arrays = {"image": PIXELS.tolist()}
    datasets.Dataset.from_dict(arrays, datasets.Features({"image": datasets.Array3D((8, 8, 3), "uint8")})).save_to_disk(tmp_path / "arrays")
    np.save(tmp_path / "x.npy", PIXELS)
    expected = vqvae.load(RUN).encode(torch.from_numpy(PIXELS).movedim(-1, 1)).flatten(1).tolist()
    for place, settings in (
        *(("files", {}), ("tars", {}), ("saved", {}), ("arrays", {}), ("x.npy", {})),
        ("a.parquet", {"column": "image", "label_column": "label"}),
    ):
        out = tmp_path / "out" / place.replace(".", "-")
        manifest = vqvae.tokenize(RUN, tmp_path / place, out, shard_size=4, workers=1, **settings)
        assert list(codes_in(out).values()) == expected and manifest["bad"] == [], place
        if place == "saved":
            assert manifest["plan"]["label_names"] == ["x", "y"]
            assert pyarrow.parquet.read_table(out / "shards")["label"].to_pylist() == [0, 1] * 3


def test_the_data_of_a_run_and_its_sides(tmp_path):
    assert vqvae.tokenize(RUN, out=tmp_path / "a", workers=1)["items"] == 40
    manifest = vqvae.tokenize(RUN, out=tmp_path / "b", side="held-out", workers=1)
    assert manifest["plan"]["label_names"] == ["disc", "square", "cross"] and list(codes_in(tmp_path / "b"))[0] == "held-out/0"
    with pytest.raises(ConfigError, match="another model, other data or other settings"):
        vqvae.tokenize(RUN, out=tmp_path / "a", side="held-out", workers=1)


def test_recordings_of_any_length(tmp_path):
    for name, length in (("one/a.wav", 900), ("two/b.flac", 1300)):
        write_audio(tmp_path / "data" / name, np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32), 16_000)
    (tmp_path / "data" / "one" / "bad.wav").write_bytes(b"no sound")
    manifest = vqvae.tokenize(SPEECH, tmp_path / "data", tmp_path / "out", workers=1)
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "shards").to_pylist()
    assert [(row["id"], row["label"], row["length"]) for row in rows] == [("one/a.wav", 0, 900), ("two/b.flac", 1, 1300)]
    assert [row["shape"] for row in rows] == [[1, 57], [1, 82]] and manifest["shapes"] is None
    (bad,) = manifest["bad"]
    assert bad["id"] == "one/bad.wav" and bad["error"].startswith("one/bad.wav cannot be decoded")


def test_pictures_are_resized_if_asked(tmp_path):
    (tmp_path / "files").mkdir()
    for number, size in enumerate(((8, 8), (12, 9))):
        Image.new("RGB", size, (number, 0, 0)).save(tmp_path / "files" / f"{number}.png")
    assert vqvae.tokenize(RUN, tmp_path / "files", tmp_path / "a", workers=1)["shapes"] is None
    assert vqvae.tokenize(RUN, tmp_path / "files", tmp_path / "b", size=4, workers=1)["shapes"] == [[1, 2, 2]]
    with pytest.raises(ConfigError, match="only pictures are resized"):
        vqvae.tokenize(SPEECH, tmp_path / "files", tmp_path / "c", size=4)


def test_wrong_use_is_said_before_the_work(tmp_path):
    for arguments, error, words in (
        ((RUN, tmp_path), ConfigError, "The folder of the shards is missing"),
        ((RUN, tmp_path / "none", tmp_path / "out"), DataError, "There is no file or folder"),
        ((RUN, 3, tmp_path / "out"), ConfigError, "The data came as int"),
        ((RUN, tmp_path, tmp_path / "out"), ConfigError, "lies in the data"),
    ):
        with pytest.raises(error, match=words):
            vqvae.tokenize(*arguments)
    assert not (tmp_path / "out").exists()
