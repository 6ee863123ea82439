import logging
import os

import numpy as np
import pytest
import torch

from tests.media.test_sounds import tone
from vqvae import building
from vqvae.data import AudioDataset, AudioFolderConfig, Recording, audio, audio_blocks, write_audio
from vqvae.data.audio import speaker_names
from vqvae.data.split import is_held_out
from vqvae.errors import ConfigError, DataError
from vqvae.media.sounds import to_int16

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    """A cache of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


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
        soundfile.write(folder / name, tone(seconds, rate, 200 + 10 * number), rate)


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
    assert np.abs(clip - tone(0.1, 8_000, 200 + 10 * int(_names(held_out)[0] == "2.wav"))).max() < 1e-4


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


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "", '{"lengths": {"a": -1}, "bad": {}}', '{"lengths": {"a": 3}, "bad": {}}'])
def test_a_damaged_cache_is_an_error(tmp_path, cache, text):
    _fill(tmp_path, ["a/1.wav", "a/2.wav"])
    _config(tmp_path).build()
    next(cache.glob("vqvae/audio/*/recordings.json")).write_text(text)
    with pytest.raises(DataError, match="is a damaged cache .* Remove it"):
        _config(tmp_path).build()


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
            assert number != 3 and np.abs(side.clip(row) - tone(0.1, 8_000, 200 + 10 * number)).max() < 1e-4
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
    for field in ("rate", "chunk", "hop", "crop"):
        with pytest.raises(ConfigError, match=f"AudioFolderConfig.{field} is 0; it must be at least 1"):
            _config(tmp_path, **{field: 0}).build()


def test_speakers_can_have_the_numbers_of_other_data(tmp_path):
    _fill(tmp_path, [f"{speaker}/{number}.wav" for speaker in "bc" for number in range(3)], seconds=0.01)
    train, _ = _config(tmp_path, held_out_speakers=("c",)).build()
    assert [one.speaker for one in train.recordings] == [0] * 3
    named = train.named(("a", "b", "zed"))
    assert [one.speaker for one in named.recordings] == [1] * 3 and named.label_names == ("a", "b", "zed")
    assert torch.equal(named.batch(np.arange(3)).x, train.batch(np.arange(3)).x)
    with pytest.raises(ConfigError, match="The speakers here are b; the model has a, c"):
        train.named(("a", "c"))


@pytest.mark.parametrize("count", [2, 3_000, 100_000])
def test_one_recording_is_cut_and_its_end_is_held_out(tmp_path, count):
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, count).astype(np.float32)
    write_audio(tmp_path / "long.wav", wave, 1_000)
    for path in (tmp_path, tmp_path / "long.wav"):
        config = AudioFolderConfig(path=str(path), rate=1_000, chunk=2_000, hop=1_000, cache=str(tmp_path / "cache"))
        train, held_out = config.build()
        parts = [side.clip(index) for side in (train, held_out) for index in range(len(side.recordings))]
        np.testing.assert_allclose(np.concatenate(parts), wave, atol=1e-4)
        assert sum(one.samples for one in held_out.recordings) == {2: 1, 3_000: 1_500, 100_000: 5_000}[count]
    write_audio(tmp_path / "short" / "a.wav", wave[:1], 1_000)
    with pytest.raises(DataError, match="at least 2 are needed"):
        AudioFolderConfig(path=str(tmp_path / "short"), rate=1_000, cache=str(tmp_path / "cache")).build()


def test_recordings_are_known_by_their_bytes(tmp_path, cache):
    """Same names, lengths and times, as archives with fixed times leave them."""
    names, levels = [], []
    for folder, level in (("clean", 0.25), ("noisy", 0.5), ("moved", 0.5)):
        for number in range(2):
            path = tmp_path / folder / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.full(4096, level), 16_000)
            os.utime(path, (315532800, 315532800))
        train = AudioFolderConfig(path=str(tmp_path / folder), chunk=1024, hop=1024).build().train
        names.append(train.name)
        levels.append(train.batch(np.arange(1)).x.max().item())
    assert levels == [0.25, 0.5, 0.5]
    assert names[0] != names[1] == names[2]


def test_a_failure_is_not_remembered(tmp_path, cache, monkeypatch):
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", np.full(4096, 0.5), 16_000)
    config = AudioFolderConfig(path=str(tmp_path), chunk=1024, hop=1024, skip_bad=True)
    original = audio.audio_blocks

    def fails_once(path, rate):
        if path.name == "1.wav":
            raise DataError("The disk does not answer.")
        return original(path, rate)

    monkeypatch.setattr(audio, "audio_blocks", fails_once)
    assert sum(len(side.recordings) for side in config.build()) == 2
    monkeypatch.setattr(audio, "audio_blocks", original)
    assert sum(len(side.recordings) for side in config.build()) == 3


@pytest.mark.parametrize("held", ["val", "Test"])
def test_sides_are_no_speakers(tmp_path, held):
    _fill(tmp_path, [f"{side}/{number}.wav" for side in ("train", held) for number in range(3)], seconds=0.01)
    train, held_out = _config(tmp_path).build()
    assert [one.name.partition("/")[0] for side in (train, held_out) for one in side.recordings] == ["train"] * 3 + [held] * 3
    assert train.label_names == () == speaker_names(str(tmp_path))


def test_speakers_inside_of_sides(tmp_path):
    _fill(tmp_path, ["train/b/1.wav", "train/c/1.wav", "test/b/2.wav", "dev/b/3.wav", "__MACOSX/b/4.wav"], seconds=0.01)
    train, held_out = _config(tmp_path).build()
    assert [one.name for one in (*train.recordings, *held_out.recordings)] == ["train/b/1.wav", "train/c/1.wav", "dev/b/3.wav"]
    assert train.label_names == held_out.label_names == ("b", "c") == speaker_names(str(tmp_path))
    with pytest.raises(ConfigError, match="has a folder to hold out"):
        _config(tmp_path, held_out_speakers=("c",)).build()
    # A speaker who is only held out comes last, and a decoder has no voice for them.
    _fill(tmp_path, ["dev/a/1.wav"], seconds=0.01)
    assert _config(tmp_path).build().held_out.label_names == ("b", "c", "a")
    assert speaker_names(str(tmp_path)) == ()


def test_a_known_corpus_has_sides_too(tmp_path):
    _fill(tmp_path, [f"{side}/{who}/5/{who}-5-0001.wav" for side, who in (("train", 1), ("train", 2), ("test", 1))], seconds=0.01)
    train, held_out = _config(tmp_path).build()
    assert ([one.name[:6] for one in train.recordings], len(held_out.recordings)) == (["train/"] * 2, 1)
    assert train.label_names == ("1", "2")


def test_what_was_found_is_said(tmp_path, caplog):
    _fill(tmp_path, [f"{who}/{number}.wav" for who in "ab" for number in range(10)], seconds=1)
    (tmp_path / "a" / "words.txt").write_text("hello")
    with caplog.at_level(logging.INFO):
        splits = _config(tmp_path).build()
    train, held_out = (len(side.recordings) for side in splits)
    counts = f"{train} recordings to train on ({train} s), {held_out} held out ({held_out}.0 s)"
    assert f"{counts}, 2 speakers; 8,000 Hz; ignoring 1 .txt." in caplog.text


def test_a_chunk_beyond_the_memory_is_an_error(tmp_path, cache, monkeypatch):
    _fill(tmp_path, ["a/1.wav", "a/2.wav"])
    monkeypatch.setattr(building, "memory", lambda: 2.0**30)
    for setting in ("chunk", "crop"):
        with pytest.raises(ConfigError, match=r"An example of 2,000,000,000 samples takes .* Choose smaller sizes"):
            _config(tmp_path, **{setting: 2_000_000_000}).build()
