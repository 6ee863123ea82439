import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vqvae.data import PHONES, VoicesConfig, known_voices, labels_at, speak, voices
from vqvae.data.sentences import sentences
from vqvae.data.voices import render
from vqvae.errors import ConfigError, DataError, MissingExtraError

pytest.importorskip("espeakng_loader")
pytest.importorskip("soxr")


def _equal(one, other):
    return np.array_equal(one.samples, other.samples) and one.phones == other.phones


@pytest.mark.parametrize("voice", ["en-us", "en-us+f3", "en-us+whisper", "en-us+klatt"])
def test_speech_does_not_depend_on_what_was_said_before(voice):
    before = speak("She sells sea shells.", voice)
    speak("Something else, and loud!", "en-us+croak", words_per_minute=300, pitch=90)
    assert _equal(speak("She sells sea shells.", voice), before)


def test_speech_does_not_depend_on_the_clock():
    before, second = speak("Hush.", "en-us+whisper"), int(time.time())
    while int(time.time()) == second:
        time.sleep(0.05)
    assert _equal(speak("Hush.", "en-us+whisper"), before)


def test_threads_may_speak_at_once():
    texts = [f"Number {number}." for number in range(4)]
    alone = [speak(text, "en-us+m3") for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(speak, texts, ["en-us+m3"] * 4)
    assert all(map(_equal, alone, together))


def test_phones_are_those_of_the_text():
    phones = speak("The boy saw a measure of thick tea.", "en-us").phones
    said = [phone.label for phone in phones if phone.label != "SIL"]
    assert said == ["DH", "AX", "B", "OY", "S", "AO", "AX", "M", "EH", "ZH", "ER", "R", "AH", "V", "TH", "IH", "K", "T", "IY"]


def test_phones_cover_every_sample_in_order():
    utterance = speak("One. Two, three!", "en-us+f1", rate=16_000)
    phones = utterance.phones
    assert phones[0].start == 0 and utterance.rate == 16_000
    assert all(one.end == other.start and one.end > one.start for one, other in zip(phones, phones[1:], strict=False))
    # Half a sample of each rate: the end is rounded when it is resampled.
    assert abs(phones[-1].end - len(utterance.samples) / 16_000) < 1 / 16_000
    assert not any(one.label == other.label == "SIL" for one, other in zip(phones, phones[1:], strict=False))


def test_the_times_of_phones_are_where_they_sound():
    utterance = speak("Sasha saw a sauce. She sees the sea.", "en-us+m3")
    times = np.arange(len(utterance.samples)) / utterance.rate
    labels = np.array(labels_at(utterance.phones, times))
    loudness = {label: np.sqrt(np.mean(utterance.samples[labels == label] ** 2)) for label in ("SIL", "AO", "IY")}
    assert 10 * loudness["SIL"] < min(loudness["AO"], loudness["IY"])
    # Hiss changes sign much more often than a voice does.
    changes = np.diff(np.sign(utterance.samples), prepend=0) != 0
    rate = {label: changes[labels == label].mean() for label in ("S", "AO")}
    assert rate["S"] > 3 * rate["AO"]


def test_there_are_forty_one_classes_and_the_sentences_have_them_all():
    assert len(PHONES) == len(set(PHONES)) == 41 and PHONES[-1] == "SIL"
    said = Counter(phone.label for phone in speak(" ".join(sentences(60, 0)), "en-us", rate=22_050, words_per_minute=450).phones)
    assert set(said) == set(PHONES)


def test_every_sound_belongs_to_one_class():
    names = " ".join(voices._SOUNDS.values()).split()
    assert len(names) == len(set(names)) == len(voices._CLASSES)


def test_speed_pitch_and_rate_do_what_they_say():
    def pitch(samples, rate):
        frames = np.lib.stride_tricks.sliding_window_view(samples, rate // 20)[:: rate // 40]
        loud = frames[np.argsort((frames**2).sum(1))[-10:]]
        spectra = np.fft.irfft(np.abs(np.fft.rfft(loud, 2 * loud.shape[1])) ** 2)
        return np.median(rate / (spectra[:, rate // 400 : rate // 60].argmax(1) + rate // 400))

    text = "Why are you all away now?"
    usual = speak(text, "en-us+m3", rate=16_000)
    assert len(speak(text, "en-us+m3", words_per_minute=350).samples) < 0.7 * len(usual.samples)
    assert pitch(speak(text, "en-us+m3", pitch=80).samples, 16_000) > 1.15 * pitch(usual.samples, 16_000)
    slow = speak(text, "en-us+m3", rate=8_000)
    assert slow.rate == 8_000 and abs(len(slow.samples) - len(usual.samples) / 2) <= 1 and slow.phones == usual.phones
    assert 0.1 < np.abs(usual.samples).max() <= 1 and usual.samples.dtype == np.float32


def test_what_cannot_be_said_is_explained():
    with pytest.raises(ConfigError, match=r"no voice 'en-us\+nobody'; there are en-us, .*en-us\+f3"):
        speak("Hello.", "en-us+nobody")
    for settings in ({"words_per_minute": 20}, {"pitch": 101}, {"rate": 0}):
        with pytest.raises(ConfigError, match="must be from 80 to 450"):
            speak("Hello.", "en-us", **settings)
    for text in ("", "   ", "..."):
        with pytest.raises(DataError, match="nothing to say"):
            speak(text, "en-us")


def test_a_sound_that_is_not_english_is_named(monkeypatch):
    monkeypatch.delitem(voices._CLASSES, "T")
    with pytest.raises(DataError, match="the sound 'T' in 'Thin.'"):
        speak("Thin.", "en-us")


def test_a_missing_extra_is_named(monkeypatch):
    known_voices.cache_clear()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MissingExtraError, match=r"'espeakng-loader'.*vqvae\[voices\]"):
        speak("Hello.", "en-us")


def test_texts_are_rendered_in_every_voice():
    dataset = render(["Hello.", "Good bye."], ["en-us+f1", "en-us+m3"], rate=8_000, chunk=1_000)
    assert [recording.name for recording in dataset.recordings] == [
        f"{voice}/{number:05d}" for voice in ("en-us+f1", "en-us+m3") for number in (0, 1)
    ]
    assert dataset.label_names == ("en-us+f1", "en-us+m3") and dataset.rate == 8_000
    said = [[phone.label for phone in dataset.phones[recording.name] if phone.label != "SIL"] for recording in dataset.recordings]
    assert said[0] == said[2] != said[1] == said[3]
    assert not np.array_equal(dataset.clip(0)[:1_000], dataset.clip(2)[:1_000])
    assert len(dataset) == sum(recording.samples // 1_000 for recording in dataset.recordings)
    assert render([], ["en-us"]).recordings == ()


def test_training_and_held_out_share_neither_voices_nor_texts(monkeypatch):
    spoken = []
    monkeypatch.setattr(voices, "speak", lambda text, voice, **settings: (spoken.append((text, voice)), speak(text, voice, **settings))[1])
    config = VoicesConfig(voices=("en-us+f1", "en-us+m3"), unseen_voices=("en-us+f5",), sentences=5, rate=8_000)
    train, held_out = config.build()
    assert [voice for _, voice in spoken[:5]] == ["en-us+f1", "en-us+m3", "en-us+f1", "en-us+m3", "en-us+f1"]
    assert [voice for _, voice in spoken[5:]] == ["en-us+f5"] and len({text for text, _ in spoken}) == 6
    assert train.label_names == held_out.label_names == ("en-us+f1", "en-us+m3", "en-us+f5")
    assert {recording.speaker for recording in train.recordings} == {0, 1} and held_out.recordings[0].speaker == 2
    assert set(train.phones) == {recording.name for recording in train.recordings}


def test_without_unseen_voices_only_the_texts_are_new():
    config = VoicesConfig(voices=("en-us+f1",), unseen_voices=(), sentences=2, rate=8_000)
    train, held_out = config.build()
    assert held_out.label_names == ("en-us+f1",) and len(held_out.recordings) == 1
    assert not any(np.array_equal(held_out.clip(0), train.clip(row)) for row in range(2))


def test_training_examples_may_be_shorter_than_what_is_scored_and_encoded():
    settings = {"voices": ("en-us+f1",), "unseen_voices": (), "sentences": 2, "rate": 8_000, "chunk": 4_000}
    (whole, held_out), (short, same) = VoicesConfig(**settings).build(), VoicesConfig(crop=1_000, **settings).build()
    sizes = [side.batch(np.arange(1)).x.shape[2] for side in (whole, held_out, short, same, short.apart())]
    assert sizes == [4_000, 4_000, 1_000, 4_000, 4_000] and short.name != whole.name


def test_no_held_out_text_is_ever_trained_on(monkeypatch):
    # Where the held-out sentences are the very ones that are trained on, none is left.
    monkeypatch.setattr(voices, "mix", lambda seed, *parts: 0)
    train, held_out = VoicesConfig(voices=("en-us",), unseen_voices=(), sentences=1, rate=8_000).build()
    assert len(train.recordings) == 1 and held_out.recordings == ()


def test_the_voices_of_the_default_are_known_and_different():
    config = VoicesConfig()
    everyone = (*config.voices, *config.unseen_voices)
    assert len(set(everyone)) == 24 and set(everyone) <= set(known_voices())


def test_settings_that_cannot_be_are_explained():
    for field in ("sentences", "rate", "chunk", "hop", "crop"):
        with pytest.raises(ConfigError, match=f"VoicesConfig.{field} is 0; it must be at least 1"):
            VoicesConfig(**{field: 0}).build()
    for settings in ({"voices": ()}, {"voices": ("en-us", "en-us")}, {"unseen_voices": ("en-us+f1",)}):
        with pytest.raises(ConfigError, match="no voice twice"):
            VoicesConfig(**settings).build()


def test_more_speech_than_memory_is_an_error():
    with pytest.raises(ConfigError, match=r"Speech of 2,000,000,000 sentences takes .* Choose smaller sizes"):
        VoicesConfig(sentences=2_000_000_000).build()
