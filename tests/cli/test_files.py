"""Files that commands read and write, of every kind of data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vqvae
from vqvae.cli.files import check_file, check_folder, check_samples, reconstruct_file, write_samples
from vqvae.cli.main import main
from vqvae.data import read_audio, write_audio
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.kinds import ARRAYS, PICTURES, SOUND, kind_of, whole
from vqvae.signals import Signal, pictures, sound

IMAGES = torch.randint(0, 256, (3, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SERIES = Signal(axes=("time",), channels=5)


def test_names_are_checked_before_the_work() -> None:
    check_folder(Path("voices"))
    check_file(Path("a.WAV"), SOUND)
    check_file(Path("a.flac"), SOUND)
    with pytest.raises(ConfigError, match=r"voices.wav ends in '.wav'; the name of a folder"):
        check_folder(Path("voices.wav"))
    for name in ("a.mp3", "a"):
        with pytest.raises(ConfigError, match="written as .wav or .flac"):
            check_file(Path(name), SOUND)
    for kind, good, bad in ((PICTURES, "x.png", "x.gif"), (SOUND, "x.npy", "x.png"), (ARRAYS, "x.npy", "x.png")):
        check_samples(Path(good), kind)
        check_samples(Path("folder"), kind)
        with pytest.raises(ConfigError, match=r"x\.\w+ ends in"):
            check_samples(Path(bad), kind)


def test_pictures_are_a_folder_an_array_or_one_picture(tmp_path: Path) -> None:
    for name in ("folder", "all.npy", "all.png"):
        write_samples(IMAGES, tmp_path / name, ["a", "b", "c"], pictures())
    assert np.array_equal(np.load(tmp_path / "all.npy", allow_pickle=False), IMAGES.numpy())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "folder" / "b.png")), IMAGES[1].permute(1, 2, 0))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "all.png"))[:4, :5], IMAGES[0].permute(1, 2, 0))


def test_each_sound_has_a_file_of_its_name(tmp_path: Path) -> None:
    sounds = torch.stack([torch.full((1, 10), 0.5), torch.full((1, 10), -0.25)])
    write_samples(sounds, tmp_path / "out", ["a", "b"], sound(16_000))
    for name, level in (("a", 0.5), ("b", -0.25)):
        assert np.array_equal(read_audio(tmp_path / "out" / f"{name}.wav", 16_000), np.full(10, level, np.float32))


def test_other_data_has_an_array_each(tmp_path: Path) -> None:
    data = torch.randn(2, 5, 7)
    write_samples(data, tmp_path / "out", ["a", "b"], SERIES)
    assert np.array_equal(np.load(tmp_path / "out" / "b.npy", allow_pickle=False), data[1].numpy())
    again = whole(kind_of(SERIES).read(tmp_path / "out" / "b.npy", SERIES))
    assert torch.equal(again, data[1:])


@pytest.mark.parametrize(("data", "signal", "name"), [(IMAGES, pictures(), "x.npy"), (torch.zeros(1, 1, 9), sound(8_000), "x")])
def test_a_place_that_cannot_be_written_is_an_error(data: torch.Tensor, signal: Signal, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be written.*Choose another place"):
        write_samples(data, tmp_path / "file" / name, ["a", "b", "c"][: len(data)], signal)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_wave_comes_at_the_rate_of_the_model(speech_run: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.zeros(800, np.float32), 8_000)
    signal = vqvae.load(speech_run).signal
    assert whole(kind_of(signal).read(tmp_path / "a.wav", signal)).shape == (1, 1, 1_600)
    (tmp_path / "text.wav").write_text("no wave")
    with pytest.raises(DataError, match="text.wav"):
        whole(kind_of(signal).read(tmp_path / "text.wav", signal))


def test_reconstructions_are_those_of_the_model_with_their_distance(speech_run: Path, run: Path, tmp_path: Path) -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 4_000).astype(np.float32)
    write_audio(tmp_path / "a.wav", wave, 16_000)
    model = vqvae.load(speech_run)
    assert reconstruct_file(tmp_path / "a.wav", model, "en-us+m3", tmp_path / "out" / "a.wav") > 0
    expected = model.reconstruct(whole(kind_of(model.signal).read(tmp_path / "a.wav", model.signal)), "en-us+m3")
    torch.testing.assert_close(torch.from_numpy(read_audio(tmp_path / "out" / "a.wav", 16_000)), expected[0, 0], rtol=0, atol=1e-4)
    Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    model = vqvae.load(run)
    assert reconstruct_file(tmp_path / "a.png", model, None, tmp_path / "out" / "a.png") > 0
    made = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert np.array_equal(made, model.reconstruct(IMAGES[:1])[0].permute(1, 2, 0))


def test_commands_ask_before_the_work(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()).save("photo.png")
    before = Path("photo.png").read_bytes()
    for extra in ([], ["--overwrite"]):
        assert main(["reconstruct", str(run), "photo.png", "--out", ".", *extra]) == 1
        assert "photo.png is the input photo.png," in capsys.readouterr().err
    assert Path("photo.png").read_bytes() == before
    Path("figures.png").mkdir()
    Path("figures.png/thesis.tex").write_text("years of work")
    assert main(["sample", str(run), "--count", "1", "--out", "figures.png", "--overwrite"]) == 1
    assert "figures.png is a folder" in capsys.readouterr().err
    assert Path("figures.png/thesis.tex").read_text() == "years of work"
    assert main(["sample", str(run), "--count", "1", "--out", "photo.png"]) == 1
    assert "--overwrite" in capsys.readouterr().err and Path("photo.png").read_bytes() == before
    assert main(["sample", str(run), "--count", "1", "--out", "photo.png", "--overwrite"]) == 0
    assert Path("photo.png").read_bytes() != before


def test_a_run_is_not_mixed_with_files_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".notes.tmp").write_text("years of work")
    assert main(["train", "images", "--data", str(tmp_path), "--out", "."]) == 1
    assert "contains ['.notes.tmp'] and is not a run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [".notes.tmp"]


def _model(channels: int, levels: int = 256) -> vqvae.Pipeline:
    torch.manual_seed(0)
    config = vqvae.VQVAEConfig(
        quantizer=vqvae.EMAQuantizerConfig(dim=4, codebook_size=16),
        likelihood=vqvae.GaussianConfig(channels=channels, levels=levels),
        encoder=vqvae.ImageEncoderConfig(widths=(4, 4), residual_hidden=4),
        decoder=vqvae.ImageDecoderConfig(widths=(4, 4), residual_hidden=4),
    )
    return vqvae.Pipeline(config.build())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_greys_and_colours_go_through_any_model(tmp_path: Path, channels: int, mode: str) -> None:
    image = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy())
    (Image.new(mode, (5, 4), 9000) if mode == "I;16" else image.convert(mode)).save(tmp_path / "a.png")
    model = _model(channels)
    found = reconstruct_file(tmp_path / "a.png", model, None, tmp_path / "b.png")
    original = torch.from_numpy(vqvae.data.read_image(tmp_path / "a.png", channels=channels))[None]
    made = model.reconstruct(original)
    with Image.open(tmp_path / "b.png") as image:
        assert image.mode == ("L" if channels == 1 else "RGB")
    assert np.array_equal(vqvae.data.read_image(tmp_path / "b.png", channels=channels), made[0])
    assert found == pytest.approx(float(psnr(original, made)))


@pytest.mark.parametrize("turned", [1, 6])
def test_a_large_picture_is_reconstructed_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 101, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turned
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    model = _model(3)
    found = [reconstruct_file(tmp_path / "a.png", model, None, tmp_path / "whole.png")]
    monkeypatch.setattr("vqvae.models.tiling._INSIDE", 32**2)
    monkeypatch.setattr("vqvae.models.tiling.LARGE", 64**2)
    found.append(reconstruct_file(tmp_path / "a.png", model, None, tmp_path / "pieces.png"))
    whole, pieces = (vqvae.data.read_image(tmp_path / name).astype(int) for name in ("whole.png", "pieces.png"))
    assert abs(whole - pieces).max() <= 1 and (whole != pieces).mean() < 1e-3
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_pictures_of_16_bits_stay_so(tmp_path: Path) -> None:
    signal = pictures(1, 65_536)
    assert kind_of(signal) is PICTURES
    deep = np.random.default_rng(0).integers(0, 4096, (1, 12, 8), dtype=np.int32)
    kind_of(signal).write(tmp_path / "a.png", [torch.from_numpy(deep)[None]], signal)
    assert torch.equal(whole(kind_of(signal).read(tmp_path / "a.png", signal)), torch.from_numpy(deep)[None])
    model = _model(1, 65_536)
    found = reconstruct_file(tmp_path / "a.png", model, None, tmp_path / "b.png")
    made = vqvae.data.read_image(tmp_path / "b.png", channels=1, levels=65_536)
    assert np.array_equal(made, model.reconstruct(torch.from_numpy(deep)[None])[0])
    assert found == pytest.approx(float(psnr(torch.from_numpy(deep)[None], torch.from_numpy(made)[None], 65_535)))
    assert PICTURES.grid is not None and PICTURES.grid(torch.full((1, 1, 2, 2), 65_535, dtype=torch.int32), 1).min() == 255


def test_floats_are_read_in_the_range_that_is_given(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    np.save(tmp_path / "b.npy", np.repeat(pixels[None], 3, 0))
    Image.fromarray(np.rint((pixels + 1) * 127.5).astype(np.uint8)).save(tmp_path / "c.png")
    model, kind = vqvae.load(run), kind_of(vqvae.load(run).signal)
    expected = whole(kind.read(tmp_path / "c.png", model.signal))
    for name in ("a.tif", "b.npy"):
        assert torch.equal(whole(kind.read(tmp_path / name, model.signal, (-1, 1))), expected)
        file, out = str(tmp_path / name), str(tmp_path / "out")
        assert main(["reconstruct", str(run), file, "--out", out, "--overwrite"]) == 1
        assert "--bounds" in capsys.readouterr().err
        assert main(["reconstruct", str(run), file, "--out", out, "--overwrite", "--bounds", "-1", "1"]) == 0
        assert main(["encode", str(run), file, "--out", str(tmp_path / f"{name}.npz"), "--bounds", "-1", "1"]) == 0
        assert main(["reconstruct", str(run), file, "--out", out, "--overwrite", "--bounds", "0", "1"]) == 1
        assert "-1" in capsys.readouterr().err
