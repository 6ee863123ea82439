import logging
import sys

import numpy as np
import pytest
import torch

from vqvae.data import AudioDataset, AudioFolderConfig, Recording, audio, audio_blocks, read_audio, write_audio
from vqvae.data.audio import resample, to_int16
from vqvae.data.split import is_held_out
from vqvae.errors import ConfigError, DataError, MissingExtraError

soundfile = pytest.importorskip("soundfile")
soxr = pytest.importorskip("soxr")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def _tone(seconds=0.5, rate=16_000, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def _noise(count):
    return np.random.default_rng(0).uniform(-0.5, 0.5, count).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_of_any_rate_gives_the_same_sound(tmp_path, suffix, rate):
    soundfile.write(tmp_path / f"a.{suffix}", _tone(rate=rate), rate)
    samples = read_audio(tmp_path / f"a.{suffix}", 16_000)
    assert samples.dtype == np.float32 and abs(len(samples) - 8000) <= 1
    # Away from the ends, where the filter has no past or future. 16 bits, and a filter that is flat to 0.01 dB.
    assert np.abs(samples[400:7600] - _tone()[400:7600]).max() < 1e-3


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_lossy_files_are_read_too(tmp_path, suffix):
    soundfile.write(tmp_path / f"a.{suffix}", _tone(), 16_000)
    samples = read_audio(tmp_path / f"a.{suffix}", 16_000)
    # An MP3 may begin with the coder's delay, so the spectrum is compared, not the samples.
    spectrum = np.abs(np.fft.rfft(samples[1000:7000]))
    assert abs(len(samples) - 8000) <= 1152 and spectrum.argmax() == 440 * 6000 // 16_000


def test_channels_are_averaged(tmp_path):
    left, right = _noise(1000), _noise(2000)[1000:]
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 8_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 8_000), (left + right) / 2, atol=1e-7)


def test_what_is_silent_or_too_loud_stays_within_bounds(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), 8_000)
    assert not read_audio(tmp_path / "silent.wav", 16_000).any()
    soundfile.write(tmp_path / "loud.wav", np.sign(_tone()) * 3, 16_000, subtype="FLOAT")
    for rate in (16_000, 11_025):
        samples = read_audio(tmp_path / "loud.wav", rate)
        assert samples.max() == 1 and samples.min() == -1


@pytest.mark.parametrize("rate", [8_000, 11_025])
def test_blocks_join_to_what_is_resampled_at_once(tmp_path, rate):
    sound = _noise(200_000)
    soundfile.write(tmp_path / "a.wav", sound, 8_000, subtype="FLOAT")
    blocks = list(audio_blocks(tmp_path / "a.wav", rate, 1000))
    assert {len(block) for block in blocks[:-1]} == {1000} and 0 < len(blocks[-1]) <= 1000
    whole = sound if rate == 8_000 else soxr.resample(sound, 8_000, rate)
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_a_file_of_five_minutes_is_read_as_it_goes(tmp_path):
    sound = _noise(5 * 60 * 8_000)
    soundfile.write(tmp_path / "a.flac", sound, 8_000)
    content = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    # The damage is at the half, and what is before it comes before it shows.
    assert np.abs(next(audio_blocks(tmp_path / "cut.flac", 8_000, 1000)) - sound[:1000]).max() < 1e-4
    assert len(read_audio(tmp_path / "a.flac", 8_000)) == len(sound)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, suffix, capfd):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, _noise(100_000), 16_000)
    content = path.read_bytes()
    for share in (0.999, 0.95, 0.5):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match=rf"a\.{suffix} cannot be decoded"):
            read_audio(path, 16_000)
    capfd.readouterr()  # The decoder of MP3 warns on its own.


def test_a_wav_file_from_a_stream_need_not_know_its_length(tmp_path):
    soundfile.write(tmp_path / "a.wav", _tone(), 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "a.wav", 16_000)) == 8000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"This is a text, not a sound.", "not a WAV, FLAC, OGG or MP3"),
        (b"RIFF\x04\0\0\0WAVE", "cannot be decoded"),
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
    with pytest.raises(DataError, match="at 8000 samples a second it holds none"):
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
    with pytest.raises(soundfile.LibsndfileError):
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
    soundfile.write(tmp_path / "a.wav", _tone(), 16_000)
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert len(read_audio(tmp_path / "a.wav", 16_000)) == 8000
    with pytest.raises(MissingExtraError, match=r"'soxr'.*vqvae\[audio\]"):
        read_audio(tmp_path / "a.wav", 8_000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtraError, match=r"'soundfile'.*vqvae\[audio\]"):
        read_audio(tmp_path / "a.wav", 16_000)
    with pytest.raises(MissingExtraError, match="'soundfile'"):
        AudioFolderConfig(path=str(tmp_path)).build()


def _dataset(lengths, chunk, hop, speakers=(), starts=None):
    """Recordings whose every sample is its own place in the array."""
    starts = np.cumsum([0, *lengths[:-1]]) if starts is None else np.array(starts)
    recordings = [Recording(f"{row}.wav", row % max(1, len(speakers)), length) for row, length in enumerate(lengths)]
    samples = np.arange(max(starts + lengths), dtype=np.int16)
    return AudioDataset(samples, starts, recordings, name="a", rate=8, chunk=chunk, hop=hop, label_names=speakers)


def _places(batch):
    return (batch.x[:, 0] * 32_768).int().tolist()


def test_chunks_begin_at_every_hop_and_stay_inside_their_recording():
    dataset = _dataset([7, 4, 6], chunk=4, hop=2, speakers=("a", "b"))
    batch = dataset.batch(np.arange(len(dataset)))
    assert _places(batch) == [[0, 1, 2, 3], [2, 3, 4, 5], [7, 8, 9, 10], [11, 12, 13, 14], [13, 14, 15, 16]]
    assert batch.x.shape == (5, 1, 4) and batch.x.dtype == torch.float32 and batch.mask is None
    assert batch.condition.label.tolist() == [0, 0, 1, 0, 0] and batch.condition.label.dtype == torch.int64
    assert dataset.clip(2).tolist() == [place / 32_768 for place in range(11, 17)]
    assert [recording.samples for recording in dataset.recordings] == [7, 4, 6] and dataset.rate == 8


def test_with_a_hop_of_a_chunk_no_sample_comes_twice():
    places = sum(_places((dataset := _dataset([9, 4], chunk=4, hop=4)).batch(np.arange(len(dataset)))), [])
    assert places == [*range(8), *range(9, 13)]


def test_a_recording_shorter_than_a_chunk_is_filled_up_and_masked():
    dataset = _dataset([3, 5, 1], chunk=4, hop=1)
    batch = dataset.batch(np.array([3, 0, 1]))
    assert _places(batch) == [[8, 0, 0, 0], [0, 1, 2, 0], [3, 4, 5, 6]]
    assert batch.mask.tolist() == [[True, False, False, False], [True, True, True, False], [True] * 4]
    assert batch.mask.dtype == torch.bool and batch.condition.label is None
    assert dataset.batch(np.array([1, 2])).mask is None


def test_recordings_may_lie_anywhere_in_the_array():
    dataset = _dataset([4, 4], chunk=4, hop=4, starts=[10, 2])
    assert _places(dataset.batch(np.array([0, 1]))) == [[10, 11, 12, 13], [2, 3, 4, 5]]
    assert dataset.clip(1).tolist() == [place / 32_768 for place in range(2, 6)]


def test_samples_fill_the_whole_range():
    samples = np.array([-32_768, 0, 16_384, 32_767], np.int16)
    dataset = AudioDataset(samples, np.array([0]), [Recording("a", 0, 4)], name="a", rate=8, chunk=4, hop=4)
    assert dataset.batch(np.array([0])).x.tolist() == [[[-1, 0, 0.5, 32_767 / 32_768]]]
    assert np.array_equal(to_int16(dataset.clip(0)), samples)
    assert to_int16(np.array([1, -1.5], np.float32)).tolist() == [32_767, -32_768]


def _fill(folder, names, seconds=0.1, rate=8_000):
    """Write tones, each of another pitch."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, _tone(seconds, rate, 200 + 10 * number), rate)


def _config(folder, **settings):
    return AudioFolderConfig(path=str(folder), **({"rate": 8_000, "chunk": 400, "hop": 100} | settings))


def _names(dataset):
    return [recording.name for recording in dataset.recordings]


_LAYOUTS = {
    "a folder for each speaker": (["b/x/1.wav", "a/1.flac", "a/2.flac"], ("a", "b"), [0, 0, 1]),
    "no speakers": (["1.wav", "2.wav"], (), [0, 0]),
    "LibriSpeech": (
        ["LibriSpeech/dev-clean/84/121123/84-121123-0000.flac", "LibriSpeech/test-other/367/130732/367-130732-0001.flac"],
        ("367", "84"),
        [1, 0],
    ),
    "VCTK 0.80": (["VCTK-Corpus/wav48/p226/p226_001.wav", "VCTK-Corpus/wav48/p225/p225_001.wav"], ("p225", "p226"), [0, 1]),
    "VCTK 0.92": (
        ["wav48_silence_trimmed/p225/p225_001_mic1.flac", "wav48_silence_trimmed/s5/s5_001_mic1.flac"],
        ("p225", "s5"),
        [0, 1],
    ),
}


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_speakers_are_found_by_the_paths(tmp_path, layout):
    names, speakers, labels = _LAYOUTS[layout]
    _fill(tmp_path, names)
    splits = _config(tmp_path).build()
    found = {recording.name: recording.speaker for side in splits for recording in side.recordings}
    assert found == dict(zip(sorted(names), labels, strict=True))
    assert {side.label_names for side in splits} == {speakers}
    assert (splits.train.batch(np.array([0])).condition.label is None) == (not speakers)


@pytest.mark.parametrize(("layout", "inside"), [("LibriSpeech", "LibriSpeech/dev-clean/84"), ("VCTK 0.80", "VCTK-Corpus/wav48/p225")])
def test_a_part_of_a_corpus_has_its_speakers_too(tmp_path, layout, inside):
    names, _, _ = _LAYOUTS[layout]
    _fill(tmp_path, [*names, *(name.replace("0.flac", "7.flac").replace("001.wav", "002.wav") for name in names)])
    assert _config(tmp_path / inside).build().train.label_names == (inside.rpartition("/")[2],)


def test_the_second_microphone_of_vctk_is_left_out(tmp_path):
    one = ["wav48_silence_trimmed/p225/p225_001_mic1.flac", "wav48_silence_trimmed/p226/p226_001_mic1.flac"]
    _fill(tmp_path, [*one, *(name.replace("mic1", "mic2") for name in one)])
    assert sorted(sum(map(_names, _config(tmp_path).build()), [])) == one


def test_a_file_beside_folders_of_speakers_is_an_error(tmp_path):
    _fill(tmp_path, ["a/1.wav", "b/1.wav", "2.wav"])
    with pytest.raises(DataError, match=r"2\.wav lies in no sub-folder, so it has no speaker"):
        _config(tmp_path).build()


def test_recordings_are_held_out_by_the_hash_of_their_path(tmp_path):
    every = [f"a/{number}.wav" for number in range(200)]
    names = [name for name in every if not is_held_out(name)][:20] + [name for name in every if is_held_out(name)][:3]
    _fill(tmp_path, names, seconds=0.01)
    train, held_out = _config(tmp_path).build()
    assert _names(held_out) == sorted(filter(is_held_out, names)) and len(held_out) > 1
    assert sorted(_names(train) + _names(held_out)) == sorted(names)


def test_speakers_are_held_out_where_they_are_named(tmp_path):
    _fill(tmp_path, [f"{speaker}/{number}.wav" for speaker in "abc" for number in range(3)], seconds=0.01)
    train, held_out = _config(tmp_path, held_out_speakers=("b",)).build()
    assert _names(held_out) == sorted(f"b/{number}.wav" for number in range(3)) and len(train.recordings) == 6
    # Held-out speakers come last: a decoder has the first ones.
    assert held_out.label_names == ("a", "c", "b") and set(held_out.batch(np.arange(3)).condition.label.tolist()) == {2}
    assert set(train.batch(np.arange(6)).condition.label.tolist()) == {0, 1}
    with pytest.raises(ConfigError, match=r"held_out_speakers has \['d'\]; the speakers of .* are \['a', 'b', 'c'\]"):
        _config(tmp_path, held_out_speakers=("d",)).build()
    with pytest.raises(DataError, match="left for the train side"):
        _config(tmp_path, held_out_speakers=("a", "b", "c")).build()


def test_training_chunks_overlap_and_held_out_ones_do_not(tmp_path):
    _fill(tmp_path, ["1.wav", "2.wav"])
    train, held_out = _config(tmp_path).build()
    assert (len(train), len(held_out)) == (5, 2)
    clip = held_out.clip(0)
    assert np.array_equal(held_out.batch(np.arange(2)).x.numpy().ravel(), clip)
    assert np.abs(clip - _tone(0.1, 8_000, 200 + 10 * int(_names(held_out)[0] == "2.wav"))).max() < 1e-4


def test_training_examples_may_be_shorter_than_what_is_scored_and_encoded(tmp_path):
    _fill(tmp_path, ["1.wav", "2.wav"])
    (whole, held_out), (short, same) = _config(tmp_path).build(), _config(tmp_path, crop=100).build()
    chunk = held_out.batch(np.arange(1)).x.shape[2]
    assert short.batch(np.arange(1)).x.shape[2] == 100 < chunk and len(short) > len(whole) and short.name != whole.name
    assert torch.equal(same.batch(np.arange(2)).x, held_out.batch(np.arange(2)).x)
    count = len(whole.apart())
    assert torch.equal(short.apart().batch(np.arange(count)).x, whole.apart().batch(np.arange(count)).x)


def test_what_was_decoded_is_kept_until_a_file_changes(tmp_path, cache, monkeypatch):
    _fill(tmp_path, ["a/1.wav", "a/2.wav", "b/3.wav"])
    before = _config(tmp_path).build()
    assert list(cache.glob("vqvae/audio/*/samples.s16"))
    read = []
    monkeypatch.setattr(audio, "audio_blocks", lambda path, rate, size=1000: (read.append(path), audio_blocks(path, rate, size))[1])
    after = _config(tmp_path, hop=50).build()
    assert not read and isinstance(after.train._samples.base, np.memmap)
    assert all(np.array_equal(side.clip(0), again.clip(0)) for side, again in zip(before, after, strict=True))
    names = {before.train.name, before.held_out.name, after.train.name, _config(tmp_path, rate=4_000).build().train.name}
    assert len(names) == 4 and len(read) == 3
    read.clear()
    _fill(tmp_path, ["a/1.wav"], seconds=0.2)
    assert _config(tmp_path).build().train.name not in names and len(read) == 3
    _config(tmp_path, cache=str(tmp_path / "mine")).build()
    assert len(list((tmp_path / "mine").glob("*/recordings.json"))) == 1


def test_bad_files_stop_the_build_or_are_skipped(tmp_path, caplog):
    _fill(tmp_path, [f"a/{number}.wav" for number in range(6)])
    (tmp_path / "a" / "3.wav").write_text("no sound")
    for _ in range(2):  # Anew, and as it was kept.
        with pytest.raises(DataError, match=r"1 of 6 audio files cannot be decoded:\n.*3\.wav(?s:.)*--skip-bad"):
            _config(tmp_path).build()
    with caplog.at_level(logging.WARNING):
        splits = _config(tmp_path, skip_bad=True).build()
    assert "3.wav cannot be decoded" in caplog.text
    for side in splits:
        for row, recording in enumerate(side.recordings):
            number = int(recording.name[2])
            assert number != 3 and np.abs(side.clip(row) - _tone(0.1, 8_000, 200 + 10 * number)).max() < 1e-4
    for number in range(6):
        (tmp_path / "a" / f"{number}.wav").write_text("no sound")
    with pytest.raises(DataError, match="has 0 examples"):
        _config(tmp_path, skip_bad=True).build()


def test_a_folder_that_will_not_do_is_explained(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        _config(tmp_path / "none").build()
    with pytest.raises(DataError, match="holds no audio files"):
        _config(tmp_path).build()
    _fill(tmp_path, ["1.wav"])
    with pytest.raises(DataError, match="has 1 examples; at least 2"):
        _config(tmp_path).build()
    for field in ("rate", "chunk", "hop", "crop"):
        with pytest.raises(ConfigError, match=f"config.data.{field} is 0"):
            _config(tmp_path, **{field: 0}).build()


def test_speakers_can_have_the_numbers_of_other_data(tmp_path):
    _fill(tmp_path, [f"{speaker}/{number}.wav" for speaker in "bc" for number in range(3)], seconds=0.01)
    train, _ = _config(tmp_path, held_out_speakers=("c",)).build()
    assert [one.speaker for one in train.recordings] == [0] * 3
    named = train.named(("a", "b", "zed"))
    assert [one.speaker for one in named.recordings] == [1] * 3 and named.label_names == ("a", "b", "zed")
    assert torch.equal(named.batch(np.arange(3)).x, train.batch(np.arange(3)).x)
    with pytest.raises(ConfigError, match="Here speak b; the model knows a, c"):
        train.named(("a", "c"))
