"""Audio files to samples and back."""

import sys
from pathlib import Path

import numpy as np
import pytest

from vqvae.data import AudioFolderConfig, audio_blocks, read_audio, write_audio
from vqvae.errors import DataError, MissingExtraError
from vqvae.media.sounds import flac_size, resample, to_float32, to_int16

soundfile = pytest.importorskip("soundfile")
soxr = pytest.importorskip("soxr")


def tone(seconds=0.5, rate=16_000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(count):
    return np.random.default_rng(0).uniform(-0.5, 0.5, count).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_of_any_rate_gives_the_same_sound(tmp_path, suffix, rate):
    soundfile.write(tmp_path / f"a.{suffix}", tone(rate=rate), rate)
    samples = read_audio(tmp_path / f"a.{suffix}", 16_000)
    assert samples.dtype == np.float32 and abs(len(samples) - 8000) <= 1
    # Away from the ends, where the filter has no past or future. 16 bits, and a filter that is flat to 0.01 dB.
    assert np.abs(samples[400:7600] - tone()[400:7600]).max() < 1e-3


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_files_are_read_too(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", tone(), 16_000)
    samples = read_audio(tmp_path / f"a.{suffix}", 16_000)
    # An MP3 may begin with the coder's delay, so the spectrum is compared, not the samples.
    spectrum = np.abs(np.fft.rfft(samples[1000:7000]))
    assert abs(len(samples) - 8000) <= 1152 and spectrum.argmax() == 440 * 6000 // 16_000


def test_channels_are_averaged(tmp_path):
    left, right = noise(1000), noise(2000)[1000:]
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 8_000), (left + right) / 2, atol=1e-7)


def test_what_is_silent_or_too_loud_stays_within_bounds(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), 8_000)
    assert not read_audio(tmp_path / "silent.wav", 16_000).any()
    soundfile.write(tmp_path / "loud.wav", np.sign(tone()) * 3, 16_000, subtype="FLOAT")
    for rate in (16_000, 11_025):
        samples = read_audio(tmp_path / "loud.wav", rate)
        assert samples.max() == 1 and samples.min() == -1


@pytest.mark.parametrize("rate", [8_000, 11_025])
def test_blocks_join_to_what_is_resampled_at_once(tmp_path, rate):
    sound = noise(200_000)
    soundfile.write(tmp_path / "a.wav", sound, 8_000, subtype="FLOAT")
    blocks = list(audio_blocks(tmp_path / "a.wav", rate, 1000))
    assert {len(block) for block in blocks[:-1]} == {1000} and 0 < len(blocks[-1]) <= 1000
    whole = sound if rate == 8_000 else soxr.resample(sound, 8_000, rate)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_a_file_of_five_minutes_is_read_as_it_goes(tmp_path):
    sound = noise(5 * 60 * 8_000)
    soundfile.write(tmp_path / "a.flac", sound, 8_000)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    # The damage is at the half.
    assert np.abs(next(audio_blocks(tmp_path / "cut.flac", 8_000, 1000)) - sound[:1000]).max() < 1e-4
    assert len(read_audio(tmp_path / "a.flac", 8_000)) == len(sound)


@pytest.mark.parametrize("beyond", [1, 4_095, 9_000])
def test_a_flac_file_with_a_seek_table_is_read_to_its_end(tmp_path, beyond, caplog):
    count = 2 * 65_536 + beyond
    noise = np.linspace(1, 0, count) ** 4 * np.random.default_rng(0).uniform(-0.5, 0.5, count)
    soundfile.write(tmp_path / "a.flac", noise, 16_000)
    flac = (tmp_path / "a.flac").read_bytes()
    table = b"\x03" + (18).to_bytes(3, "big") + bytes(16) + (4_096).to_bytes(2, "big")
    padding = b"\x01" + (8_192).to_bytes(3, "big") + bytes(8_192)
    (tmp_path / "a.flac").write_bytes(flac[:42] + table + padding + flac[42:])
    assert len(read_audio(tmp_path / "a.flac", 16_000)) == count and not caplog.text


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_sound_that_is_lost_in_the_middle_is_said(tmp_path, subtype, caplog):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 200_000).astype(np.float32)
    soundfile.write(tmp_path / "a.ogg", wave, 16_000, format="OGG", subtype=subtype)
    assert len(read_audio(tmp_path / "a.ogg", 16_000)) == 200_000 and not caplog.text
    ogg = bytearray((tmp_path / "a.ogg").read_bytes())
    ogg[ogg.index(b"OggS", len(ogg) // 2) + 100] ^= 1
    (tmp_path / "a.ogg").write_bytes(ogg)
    assert 0 < len(read_audio(tmp_path / "a.ogg", 16_000)) < 200_000 and "cut short or damaged" in caplog.text


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "w64"])
def test_what_is_there_of_a_file_that_is_cut_short_is_read(tmp_path, suffix, capfd, caplog):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(100_000), 16_000)
    content = path.read_bytes()
    for share in (0.95, 0.5):
        path.write_bytes(content[: int(share * len(content))])
        caplog.clear()
        assert 0.6 * share * 100_000 < len(read_audio(path, 16_000)) < 100_000
        assert "cut short or damaged" in caplog.text
    capfd.readouterr()  # The decoder of MP3 warns on its own.


@pytest.mark.parametrize("rate", [1, 30, 10**9])
def test_a_rate_that_cannot_be_right_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", noise(1000), 16_000)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:24] + rate.to_bytes(4, "little") + content[28:])
    with pytest.raises(DataError, match=f"states a sample rate of {rate} Hz"):
        read_audio(tmp_path / "a.wav", 16_000)


def test_three_hundred_channels_are_one(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full((5000, 300), 0.25), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 16_000), np.full(5000, 0.25), atol=1e-6)


def test_a_wav_file_from_a_stream_need_not_know_its_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    # What ffmpeg and sox write into a pipe.
    for unknown in (b"\xff\xff\xff\xff", b"\xda\xff\xff\xff", b"\x00\xf0\xff\x7f"):
        content[4:8] = content[place : place + 4] = unknown
        (tmp_path / "a.wav").write_bytes(content)
        assert len(read_audio(tmp_path / "a.wav", 16_000)) == 8000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"This is a text, not a sound.", "not an audio file in a known format"),
        (b"RIFF\x04\0\0\0WAVE", "not an audio file"),
    ],
)
def test_what_is_no_audio_is_named(tmp_path, content, reason):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.wav cannot be decoded: .*{reason}" if reason != "cannot be decoded" else reason):
        read_audio(tmp_path / "a.wav", 16_000)


def test_files_without_samples_or_with_bad_ones_are_refused(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(DataError, match="holds no samples"):
        read_audio(tmp_path / "none.wav", 16_000)
    soundfile.write(tmp_path / "one.wav", np.zeros(1), 96_000)
    with pytest.raises(DataError, match="too short to have a sample at 8000 Hz"):
        read_audio(tmp_path / "one.wav", 8_000)
    for bad in (np.nan, np.inf):
        soundfile.write(tmp_path / "bad.wav", np.array([0, bad, 0]), 16_000, subtype="FLOAT")
        with pytest.raises(DataError, match="not finite"):
            read_audio(tmp_path / "bad.wav", 16_000)
    with pytest.raises(DataError, match=r"gone\.wav cannot be read: No such file"):
        read_audio(tmp_path / "gone.wav", 16_000)
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_audio(tmp_path, 16_000)


@pytest.mark.parametrize("suffix", ["wav", "FLAC"])
def test_what_is_written_is_read_again_bit_for_bit(tmp_path, suffix):
    samples = np.arange(-32_768, 32_768, 7).astype(np.float32) / 32_768
    write_audio(tmp_path / f"a.{suffix}", samples, 22_050)
    assert np.array_equal(read_audio(tmp_path / f"a.{suffix}", 22_050), samples)
    assert soundfile.info(tmp_path / f"a.{suffix}").subtype == "PCM_16"
    write_audio(tmp_path / f"b.{suffix}", iter(np.array_split(samples, 7)), 22_050)
    assert (tmp_path / f"b.{suffix}").read_bytes() == (tmp_path / f"a.{suffix}").read_bytes()


def test_an_error_between_blocks_leaves_nothing(tmp_path):
    def blocks():
        yield np.zeros(100, np.float32)
        raise DataError("the file is cut short")

    with pytest.raises(DataError, match="cut short"):
        write_audio(tmp_path / "a.wav", blocks(), 8_000)
    assert not list(tmp_path.iterdir())


def test_writing_clips_and_writes_whole_or_not_at_all(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([2, -2, 1, 0.1], np.float32), 8_000)
    before = read_audio(tmp_path / "a.wav", 8_000)
    np.testing.assert_allclose(before, [1, -1, 1, 0.1], atol=1 / 32_768)
    with pytest.raises(DataError, match="not all finite"):
        write_audio(tmp_path / "a.wav", np.array([np.nan], np.float32), 8_000)
    with pytest.raises(DataError, match=r"ends in '\.mp3'; audio is written as \.wav or \.flac"):
        write_audio(tmp_path / "a.mp3", np.zeros(1, np.float32), 8_000)
    with pytest.raises(DataError, match=r"a.wav could not be written \(.*\) Choose another place"):
        write_audio(tmp_path / "a.wav", np.zeros(1, np.float32), -1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert np.array_equal(read_audio(tmp_path / "a.wav", 8_000), before)


def test_resampling_keeps_times_and_bounds():
    step = np.where(np.arange(22_050) < 11_025, -1, 1).astype(np.float32)
    resampled = resample(step, 22_050, 16_000)
    assert len(resampled) == 16_000 and np.abs(resampled).max() == 1
    assert np.flatnonzero(resampled > 0)[0] in range(7_998, 8_002)
    assert resample(step, 16_000, 16_000) is step


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", tone(), 16_000)
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert len(read_audio(tmp_path / "a.wav", 16_000)) == 8000
    with pytest.raises(MissingExtraError, match=r"'soxr'.*vqvae\[audio\]"):
        read_audio(tmp_path / "a.wav", 8_000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"'soundfile'.*vqvae\[audio\]"):
        read_audio(tmp_path / "a.wav", 16_000)
    with pytest.raises(MissingExtraError, match="'soundfile'"):
        AudioFolderConfig(path=str(tmp_path)).build()


def test_samples_of_16_bits_are_those_of_the_whole_range():
    samples = np.array([-32_768, -1, 0, 32_767], np.int16)
    assert to_float32(samples).tolist() == [-1.0, -(2**-15), 0.0, 1 - 2**-15] and np.array_equal(to_int16(to_float32(samples)), samples)


def test_the_size_of_flac_is_that_of_a_file(tmp_path: Path) -> None:
    samples = (0.5 * np.sin(np.arange(4_000) / 9)).astype(np.float32)
    write_audio(tmp_path / "x.flac", samples, 8_000)
    assert flac_size(samples, 8_000) == pytest.approx((tmp_path / "x.flac").stat().st_size, rel=0.02)
