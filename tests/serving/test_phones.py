"""Phones of recordings, predicted from their codes."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient

from tests.cli.conftest import speech_run  # noqa: F401
from tests.serving.conftest import OPTIONS
from vqvae.data.audio import AudioDataset
from vqvae.data.phones import labels_at
from vqvae.runs.encoding import read_codes
from vqvae.serving.app import build_app
from vqvae.serving.measures import Measures
from vqvae.serving.phones import _labelled
from vqvae.serving.served import Served, load_all


@pytest.fixture(scope="module")
def served(speech_run: Path) -> Iterator[Served]:  # noqa: F811
    found = load_all([speech_run], torch.device("cpu"), OPTIONS, lambda model, kind, count: None)
    (model,) = found.values()
    yield model
    model.close()


def test_each_code_has_the_phone_of_its_time(served: Served) -> None:
    assert served.material.splits is not None
    train, codes = served.material.splits.train, read_codes(served.run).train
    assert isinstance(train, AudioDataset)
    names, rate = tuple(sorted({one.label for of in train.phones.values() for one in of})), train.rate / served.model.layout[0].stride[0]
    pieces, labels = _labelled(train, codes, names, rate, len(codes))
    apart = train.apart()
    places = [apart.place(index) for index in range(len(apart))]
    assert len(pieces) == len(places) and any(first > 0 for _, first in places)
    for (recording, first), piece, of in zip(places, pieces, labels, strict=True):
        start = int(train._starts[recording]) + first
        heard = torch.from_numpy(train._samples[start : start + train._apart].astype(np.float32) / 32_768)
        assert torch.equal(apart.batch(np.array([places.index((recording, first))])).x[0, 0, : len(heard)], heard)
        times = first / train.rate + (np.arange(len(piece)) + 0.5) / rate
        expected = labels_at(train.phones[train.recordings[recording].name], times)
        assert [None if number < 0 else names[number] for number in of] == expected


def test_a_recording_gets_phones_along_time_and_how_often_they_are_right(served: Served) -> None:
    assert served.about()["can"]["phones"]
    client, file = TestClient(build_app({"speech": served}, OPTIONS, Measures())), io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(np.arange(12_000) / 9), 16_000, format="WAV", subtype="PCM_16")
    answer = client.post("/v1/models/speech/reconstruct", files={"file": ("a.wav", file.getvalue())}, data={"parts": "codes,phones"})
    found, predicts = answer.json(), served.phones()
    assert predicts is not None and found["phones_right"] == predicts.right and 0 <= predicts.right <= 1
    codes = np.array(found["codes"]["levels"][0]["data"])
    path = [predicts.names[number] for number in predicts.times.predict(codes)]
    said = [
        [one["phone"] for one in found["phones"] if one["start"] <= time < one["end"]]
        for time in (np.arange(len(path)) + 0.5) / predicts.rate
    ]
    assert said == [[] if name == "SIL" else [name] for name in path]


def test_a_run_without_codes_or_phones_has_none(served: Served, models: dict[str, Served], monkeypatch: pytest.MonkeyPatch) -> None:
    assert models["voices"].phones() is None and not models["voices"].about()["can"]["phones"]
    monkeypatch.setattr(served, "_phones", None)
    monkeypatch.setattr(served, "_tried", False)
    monkeypatch.setattr(served, "run", Path("nowhere"))
    assert served.phones() is None, "its codes are missing"
