"""Speech with exact phone times, spoken by eSpeak NG (https://github.com/espeak-ng/espeak-ng) as many voices; the only importer of
espeakng_loader.

Differs from the paper: its speech is VCTK, a download of 11 GB without phone times. The eSpeak library is free software under the GPL,
version 3. It is not part of this package: the extra ``voices`` installs it, and it is loaded when speech is needed.
"""

import _ctypes
import ctypes
import functools
import hashlib
import importlib.metadata
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int16

from vqvae.building import check_memory
from vqvae.config import SEED, check_at_least, settings, to_json
from vqvae.data.audio import AudioDataset, Recording
from vqvae.data.base import Splits
from vqvae.data.phones import Phone
from vqvae.data.sentences import sentences
from vqvae.data.split import HELD_OUT_SHARE
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.media.sounds import resample, to_int16
from vqvae.seeding import mix

# For each of 41 classes, eSpeak's names ("mnemonics") of its sounds in American English. The classes are the 39 ARPAbet phones of the CMU
# dictionary, the neutral vowel AX, and silence. eSpeak treats a vowel with an r ("near", "car", "fire") as one sound, which counts as its
# vowel here. A tap counts as T, and so does the glottal stop of "button"; a syllabic l or n counts as L or N.
_SOUNDS = {
    "AA": "0 0# 02 A: A@ A#",  # hot, father, car
    "AE": "a aa",  # cat, bath
    "AH": "V",  # cut
    "AO": "O: O O2 O@ o@ o:",  # caught, more
    "AW": "aU aU@",  # house
    "AX": "@ @2 @5 @- @# a# a2 a#2",  # about, the
    "AY": "aI aI@ aI3",  # my, fire
    "EH": "E E# E2 e@ e e# e:",  # bed, hair
    "ER": "3 3: IR VR",  # bird, butter
    "EY": "eI",  # day
    "IH": "I I2 I# I2# i@3",  # bit, roses, near
    "IY": "i: i i@",  # see, happy
    "OW": "oU oU# o",  # go
    "OY": "OI",  # boy
    "UH": "U U@",  # book, tour
    "UW": "u: u",  # two
    "P": "p",
    "B": "b",
    "T": "t t2 t# ?",
    "D": "d d#",
    "K": "k x",
    "G": "g",
    "CH": "tS",
    "JH": "dZ",
    "F": "f",
    "V": "v v#",
    "TH": "T",
    "DH": "D",
    "S": "s",
    "Z": "z z# z/2",
    "SH": "S",
    "ZH": "Z",
    "HH": "h",
    "M": "m m-",
    "N": "n n-",
    "NG": "N N-",
    "L": "l l- l/ @L",
    "R": "r r- r/ *",
    "W": "w w#",
    "Y": "j ;",  # yes; and the glide of "we are"
    "SIL": "_ _: _! _| _:: ||",
}
PHONES = tuple(_SOUNDS)
"""The names of the 41 classes. The last, ``SIL``, is silence, which scores ignore."""
_VERSION = 1  # Of the sentences and the differences between voices. With a change, the same settings give other data.
_AT_A_TIME = 4
_SECONDS = 2
"""Of a short sentence, to know in advance what all take in memory."""
_CLASSES = {mnemonic: phone for phone, mnemonics in _SOUNDS.items() for mnemonic in mnemonics.split()}
VOICES = (
    *("en-us+f1", "en-us+m1", "en-us+f2", "en-us+m3", "en-us+f3", "en-us+m7", "en-us+f4", "en-us+Alex", "en-us+Alicia", "en-us+Denis"),
    *("en-us+Andrea", "en-us+Gene2", "en-us+Annie", "en-us+Marco", "en-us+anika", "en-us+ed", "en-us+belinda", "en-us+klatt"),
    *("en-us+grandma", "en-us+Nguyen"),
)
"""Voices of the training data, unless others are chosen."""
UNSEEN_VOICES = ("en-us+f5", "en-us+m4", "en-us+steph", "en-us+Michael")
"""Voices of the held-out data, unless others are chosen."""


@settings
class VoicesConfig:
    """Sentences spoken by eSpeak NG: half an hour of training data in twenty voices, and held-out sentences in four other voices.

    Voices take turns to speak the training sentences. The held-out side has 5 % as many other sentences, each spoken by all of
    ``unseen_voices`` or, without these, by four of ``voices`` in turn. The sentences are our own. The same settings give the same
    samples.
    """

    voices: tuple[str, ...] = field(default=VOICES, metadata={"value": "NAME ..."})
    """Voices of the training data: American English, ``en-us``, with one of eSpeak's variants."""
    unseen_voices: tuple[str, ...] = field(default=UNSEEN_VOICES, metadata={"value": "NAME ..."})
    """Voices of the held-out data, none of them in ``voices``."""
    sentences: int = 600
    """Number of training sentences, about three seconds each."""
    rate: int = 16_000
    """Samples per second."""
    chunk: int = 20_480
    """Samples per example."""
    crop: int | None = None
    """Samples per training example; default: ``chunk``. Short examples train faster; codes and scores need long ones."""
    hop: int = 1_280
    """Samples from the start of a training example to the start of the next. Held-out examples do not overlap."""
    seed: int = field(default=0, metadata=SEED)
    """Seed of the sentences."""

    def build(self) -> Splits:
        """Speak all sentences. Half an hour of speech takes a few seconds."""
        return _build(self)


class Utterance(NamedTuple):
    """A spoken text."""

    samples: Float32[np.ndarray, " samples"]
    """In [-1, 1]."""
    rate: int
    """Samples per second."""
    phones: tuple[Phone, ...]
    """Phones from the first to the last sample without a gap; every label is one of ``PHONES``."""


def speak(text: str, voice: str, *, rate: int = 16_000, words_per_minute: int = 175, pitch: int = 50) -> Utterance:
    """Speak an English text. The result depends only on the arguments, not on earlier calls or other threads.

    Args:
        text: the text to speak.
        voice: ``en-us``, or ``en-us+`` and a variant, such as ``en-us+f3``; ``known_voices`` lists them.
        rate: samples per second. eSpeak's own rate is 22,050; other rates are resampled.
        words_per_minute: from 80 to 450.
        pitch: from 0 to 100; 50 is the voice's own pitch.

    Raises:
        ConfigError: if the voice is unknown, or a number is out of range.
        DataError: if the text has nothing to say, or has sounds that are not English.
        MissingExtraError: if espeakng-loader or soxr is not installed.
    """
    if voice not in known_voices():
        raise ConfigError(f"There is no voice {voice!r}; there are {', '.join(known_voices())}.")
    if not (80 <= words_per_minute <= 450 and 0 <= pitch <= 100 and rate >= 1):
        raise ConfigError(
            f"words_per_minute is {words_per_minute}, pitch {pitch} and rate {rate}; "
            "they must be from 80 to 450, from 0 to 100, and 1 or more."
        )
    spoken = _synthesise(text.replace("\0", " "), voice, words_per_minute, pitch)
    phones = _phones(spoken, text)
    if all(phone.label == "SIL" for phone in phones):
        raise DataError(f"There is nothing to say in the text {text!r}.")
    return Utterance(resample(spoken.samples.astype(np.float32) / np.float32(32_768), spoken.rate, rate), rate, phones)


@functools.lru_cache(maxsize=1)
def known_voices() -> tuple[str, ...]:
    """The voices of American English that ``speak`` takes.

    Raises:
        MissingExtraError: if espeakng-loader is not installed.
    """
    return ("en-us", *(f"en-us+{path.name}" for path in sorted((_paths().data / "voices" / "!v").iterdir())))


def render(texts: Iterable[str], voices: Sequence[str], *, rate: int = 16_000, chunk: int = 20_480, hop: int | None = None) -> AudioDataset:
    """Every text, spoken by every voice, for comparison of voices. Recording ``v * len(texts) + t`` is text ``t`` in voice ``v``.

    Args:
        texts: the texts to speak.
        voices: the voices; ``label_names`` of the result, in this order.
        rate: samples per second.
        chunk: samples per example.
        hop: samples from the start of an example to the start of the next; default: ``chunk``.

    Raises:
        ConfigError, DataError, MissingExtraError: as ``speak``.
    """
    texts = tuple(texts)
    plan = [(voice, number, text) for voice in voices for number, text in enumerate(texts)]
    settings = {"rate": rate, "chunk": chunk, "hop": hop or chunk}
    return _render(plan, tuple(voices), f"voices-{_digest([texts, voices, settings])}", **settings)


def untrained(config: VoicesConfig, count: int, purpose: str) -> list[str]:
    """Up to ``count`` sentences that are not in the training data. They differ for each ``purpose``."""
    trained = frozenset(sentences(config.sentences, mix(config.seed, "train")))
    return [text for text in sentences(count, mix(config.seed, purpose)) if text not in trained]


def _build(config: VoicesConfig) -> Splits:
    check_at_least(1, config, "sentences", "rate", "chunk", "hop", "crop")
    check_memory(2 * _SECONDS * config.rate * config.sentences, f"Speech of {config.sentences:,} sentences")
    label_names = (*config.voices, *config.unseen_voices)
    if not config.voices or len(set(label_names)) < len(label_names):
        raise ConfigError("config.data.voices must name a voice, and no voice twice, nor one of unseen_voices.")
    train_texts = sentences(config.sentences, mix(config.seed, "train"))
    new_texts = untrained(config, max(1, round(HELD_OUT_SHARE * config.sentences)), "held-out")
    train = [(config.voices[number % len(config.voices)], number, text) for number, text in enumerate(train_texts)]
    held_out = [(voice, number, text) for number, text in enumerate(new_texts) for voice in _new_speakers(config, number)]
    name, cut = f"voices-{_digest(_given(config))}", {"hop": config.hop, "apart": config.chunk}
    splits = Splits(
        _render(train, label_names, f"{name}-train", rate=config.rate, chunk=config.crop or config.chunk, **cut),
        _render(held_out, label_names, f"{name}-held-out", rate=config.rate, chunk=config.chunk, hop=config.chunk),
    )
    return splits.say(f"Pieces of synthetic speech by {len(label_names)} voices")


def _given(config: VoicesConfig) -> dict[str, Any]:
    """The settings that are not None: data keeps its name in runs from before ``crop`` existed."""
    return {name: value for name, value in to_json(config).items() if value is not None}


def _new_speakers(config: VoicesConfig, number: int) -> tuple[str, ...]:
    """The voices that speak a held-out sentence."""
    if config.unseen_voices:
        return config.unseen_voices
    count = len(config.voices)
    return tuple(config.voices[(_AT_A_TIME * number + i) % count] for i in range(min(_AT_A_TIME, count)))


def _render(plan: Sequence[tuple[str, int, str]], label_names: tuple[str, ...], name: str, *, rate: int, **cut: int) -> AudioDataset:
    """Speak one (voice, number, text) after another. Recordings are named ``voice/number``."""
    clips: list[Int16[np.ndarray, " samples"]] = []
    recordings: list[Recording] = []
    phones: dict[str, tuple[Phone, ...]] = {}
    for voice, number, text in plan:
        # Each voice has its own speed and pitch. Otherwise voices of one family would differ in little but their formants.
        manner = mix(0, "manner", voice)
        utterance = speak(text, voice, rate=rate, words_per_minute=150 + manner % 51, pitch=35 + manner // 51 % 31)
        recording = Recording(f"{voice}/{number:05d}", label_names.index(voice), len(utterance.samples))
        clips.append(to_int16(utterance.samples))
        recordings.append(recording)
        phones[recording.name] = utterance.phones
    lengths = [len(clip) for clip in clips]
    samples, starts = np.concatenate([np.empty(0, np.int16), *clips]), np.cumsum([0, *lengths[:-1]])
    return AudioDataset(samples, starts[: len(clips)], recordings, name=name, rate=rate, **cut, label_names=label_names, phones=phones)


def _digest(content: object) -> str:
    """A digest of the settings and the version of eSpeak: another release may speak the same text differently."""
    _paths()  # Raises the error that names the missing extra.
    content = [content, _VERSION, importlib.metadata.version("espeakng-loader")]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


class _Paths(NamedTuple):
    library: Path
    data: Path


def _paths() -> _Paths:
    try:
        import espeakng_loader
    except ImportError as error:
        raise MissingExtraError("espeakng-loader", "voices") from error
    return _Paths(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))


class _Spoken(NamedTuple):
    """eSpeak's raw output: samples at its rate, and the first sample of each sound with its mnemonic."""

    samples: Int16[np.ndarray, " samples"]
    rate: int
    sounds: list[tuple[int, str]]


def _phones(spoken: _Spoken, text: str) -> tuple[Phone, ...]:
    phones: list[Phone] = []
    # There is silence before the first sound.
    starts, mnemonics = [0, *(start for start, _ in spoken.sounds)], ["_", *(mnemonic for _, mnemonic in spoken.sounds)]
    for start, end, mnemonic in zip(starts, [*starts[1:], len(spoken.samples)], mnemonics, strict=True):
        # Stress marks stand before the sound.
        label = _CLASSES.get(mnemonic.lstrip("',%="))
        if label is None:
            raise DataError(f"eSpeak NG says the sound {mnemonic!r} in {text!r}, which is not American English. Spell it another way.")
        if phones and label == phones[-1].label == "SIL":
            phones[-1] = phones[-1]._replace(end=end / spoken.rate)
        elif end > start:  # An l may merge with the vowel before it and have no time of its own.
            phones.append(Phone(start / spoken.rate, end / spoken.rate, label))
    return tuple(phones)


# From here on: https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h
_SYNCHRONOUS, _PHONEME_EVENTS, _DO_NOT_EXIT, _UTF8, _CHARACTERS = 2, 0x0001, 0x8000, 1, 1
_RATE, _VOLUME, _PITCH = 1, 2, 3
_LAST_EVENT, _PHONEME = 0, 7


class _Event(ctypes.Structure):
    """``espeak_EVENT``. ``string`` is the member of a union that phonemes use: at most 8 bytes, with a zero if there is room."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("string", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
_LOCK = threading.Lock()


def _synthesise(text: str, voice: str, words_per_minute: int, pitch: int) -> _Spoken:
    """Speak with a fresh copy of the library.

    The library keeps state between calls that cannot be reset (the phase of its pitch flutter, the gain, an echo), so a text would sound
    slightly different every time. Loading it again takes half a millisecond.
    """
    blocks: list[bytes] = []
    sounds: list[tuple[int, str]] = []

    @_CALLBACK
    def receive(samples: int | None, count: int, events: Any) -> int:
        if samples and count:
            blocks.append(ctypes.string_at(samples, 2 * count))
        place = 0
        while events[place].type != _LAST_EVENT:
            if events[place].type == _PHONEME:
                sounds.append((events[place].sample, events[place].string.decode()))
            place += 1
        return 0

    library_path, data = _paths()
    with _LOCK:
        library = ctypes.CDLL(str(library_path))
        try:
            rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data.parent).encode(), _PHONEME_EVENTS | _DO_NOT_EXIT)
            if rate <= 0:
                raise DataError(f"eSpeak NG does not find its data in {data}. It cannot use paths of more than 140 characters.")
            library.espeak_SetSynthCallback(receive)
            # It draws breath and noise from its own generator, seeded with the time, and from the C library's, which nothing else here
            # uses.
            library.espeak_ng_SetRandSeed(ctypes.c_long(1))
            ctypes.CDLL(None).srand(1)
            if library.espeak_SetVoiceByName(voice.encode()):
                raise ConfigError(f"eSpeak NG cannot load the voice {voice!r}.")
            library.espeak_SetParameter(_RATE, words_per_minute, 0)
            library.espeak_SetParameter(_PITCH, pitch, 0)
            # At the usual 100, some voices are so loud that eSpeak turns them down at times, to stay within 16 bits.
            library.espeak_SetParameter(_VOLUME, 50, 0)
            content = text.encode() + b"\0"
            failed = library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, _CHARACTERS, 0, _UTF8, None, None)
            if failed:
                raise DataError(f"eSpeak NG cannot say {text!r} (error {failed}).")
        finally:
            library.espeak_Terminate()
            _ctypes.dlclose(library._handle)
    return _Spoken(np.frombuffer(b"".join(blocks), np.int16), rate, sounds)
