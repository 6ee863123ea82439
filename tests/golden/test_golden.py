"""What a release wrote, every later one reads: stored runs of every kind load, score, sample and are resumed as they were."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import vqvae
from tests.golden import bridge
from tests.golden.canary import canary
from tests.golden.inputs import batch_of, splits_of
from tests.golden.observe import Seen, evaluate, observe_codes, observe_part, observe_run, rows_of
from tests.golden.recordings import write_recordings

FOLDER = Path(__file__).parent
GOLDEN = {path.parent.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/expected.json"))}
MOST_BYTES = 1_500_000

# On a machine that computes otherwise. Sums of some hundred float32 products differ by 1e-6 of their parts, and what follows from a
# handful of optimizer steps by far more: Adam turns the rounding of a slope near 0 into a step of full length.
NEAR, NEAR_AFTER_TRAINING = 1e-3, 5e-2
ALIKE, ALIKE_IN_CHAINS = 0.99, 0.5
"""Shares of equal entries. A draw that rounding decides changes all that is drawn after it."""

KINDS = {
    *("VQVAEConfig", "VAEConfig", "VIMCOConfig", "GumbelSoftmaxConfig", "JointConfig", "SpeakerClassifierConfig"),
    *("VectorQuantizerConfig", "EMAQuantizerConfig", "ProductQuantizerConfig", "IdentityQuantizerConfig"),
    *("GaussianConfig", "LogisticMixtureConfig", "CategoricalConfig", "MuLawConfig", "MuLawMixtureConfig", "SpectralConfig"),
    *("CepstralConfig", "CategoricalCodesConfig", "ImageEncoderConfig", "ImageDecoderConfig", "AudioEncoderConfig", "LogMelEncoderConfig"),
    *("CepstralEncoderConfig", "CepstralDecoderConfig", "WaveNetDecoderConfig", "SpectralDecoderConfig", "CodesEncoderConfig"),
    *("CodesDecoderConfig", "UniformPriorConfig", "UnigramPriorConfig", "PixelCNNConfig", "WaveNetConfig"),
}


def named(kind: str) -> Any:
    return pytest.mark.parametrize("name", [name for name, about in GOLDEN.items() if about["kind"] == kind])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def here() -> str:
    """The canary of this machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found = canary()
    torch.set_num_threads(before)
    return found


def differences(name: str, seen: Seen, here: str, near: float = NEAR) -> list[str]:
    """What is stored and is not seen again: to the bit where the machine is one that computes alike, else nearly."""
    stored = load_file(FOLDER / name / "expected.safetensors")
    expected = Seen({bridge.name_now(key): tensor for key, tensor in stored.items()}, GOLDEN[name]["numbers"])
    exact = GOLDEN[name]["canary"] == here
    missing = sorted((expected.tensors.keys() - seen.tensors.keys()) | (expected.numbers.keys() - seen.numbers.keys()))
    if missing:
        return [f"{missing} are missing"]
    found = []
    for key, wanted in expected.tensors.items():
        tensor = seen.tensors[key]
        if tensor.shape != wanted.shape or tensor.dtype != (torch.int64 if wanted.dtype == torch.int16 else wanted.dtype):
            found.append(f"{key} is {tensor.dtype} {tuple(tensor.shape)}, expected {wanted.dtype} {tuple(wanted.shape)}")
        elif not torch.equal(tensor.to(wanted.dtype), wanted):
            nearly = not exact or key in bridge.DECODED_ONE_BY_ONE
            found.append(tensors_differ(key, tensor, wanted, near) if nearly else f"{key} is not what it was, to the bit")
    if exact:
        for key, value in expected.numbers.items():
            now = seen.numbers[key]
            if isinstance(value, dict) and isinstance(now, dict):  # Later releases may have more scores.
                now = {name: score for name, score in now.items() if name in value}
            if now != value:
                found.append(f"{key} is {now}, expected {value}")
    else:
        found += numbers_differ(seen.numbers, expected.numbers, near)
    return [words for words in found if words]


def tensors_differ(key: str, found: Tensor, wanted: Tensor, near: float) -> str:
    """What is wrong, if anything is."""
    chain = key.startswith("chain")
    if wanted.is_floating_point() and not chain:
        distance = float((found - wanted).norm() / wanted.norm().clamp(min=1e-6))
        return "" if distance <= near else f"{key} is {distance:.2g} of its norm off, more than {near}"
    close = (found.double() - wanted.double()).abs() <= (1 if wanted.dtype == torch.uint8 else 1e-5)
    share, least = float(close.double().mean()), ALIKE_IN_CHAINS if chain else ALIKE
    return "" if share >= least else f"{key} has {share:.1%} alike, less than {least:.0%}"


def numbers_differ(found: Mapping[str, Any], wanted: Mapping[str, Any], near: float) -> list[str]:
    """What is wrong, if anything is."""
    wrong = []
    for key, value in wanted.items():
        if isinstance(value, Mapping):
            wrong += numbers_differ(found[key], value, max(near, 1e-2))
        elif found[key] != (pytest.approx(value, rel=near, abs=near) if isinstance(value, float) else value):
            wrong.append(f"{key} is {found[key]}, expected {value}")
    return wrong


@named("part")
def test_a_part_is_what_it_was(name: str, here: str) -> None:
    part = bridge.load_part(FOLDER / name / "part")
    assert differences(name, observe_part(part, batch_of(GOLDEN[name]["inputs"])), here) == []


@named("codes")
def test_codes_are_read(name: str, here: str) -> None:
    assert differences(name, observe_codes(FOLDER / name / "codes"), here) == []


@named("resume")
def test_a_training_goes_on_to_the_same_end(name: str, here: str, tmp_path: Path) -> None:
    about = GOLDEN[name]
    run = tmp_path / "run"
    shutil.copytree(FOLDER / name / "run", run)
    training = json.loads((run / about["checkpoint"] / "state.json").read_text())["training"]
    final = bridge.train(bridge.settings_of(training), splits_of(**about["inputs"]), run, about["stage"])
    seen = Seen(dict(bridge.load_part(run / about["stage"]).state_dict()), rows_of(run, about["middle"]))
    assert all(torch.equal(value, seen.tensors[key]) for key, value in final.state_dict().items())
    assert differences(name, seen, here, NEAR_AFTER_TRAINING) == []


@pytest.fixture
def run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run that may be written to, beside what it was trained on."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER / name / "run", "run")
    recordings = FOLDER / name / "recordings.safetensors"
    if recordings.exists():
        write_recordings(load_file(recordings), Path("recordings"))
    return Path("run")


@named("run")
def test_a_run_loads_scores_and_samples(name: str, run: Path, here: str, capsys: pytest.CaptureFixture[str]) -> None:
    seen = observe_run(run, batch_of(GOLDEN[name]["inputs"]).x)
    scores = evaluate(run, lambda: capsys.readouterr().out)
    assert scores.items() <= json.loads((run / "metrics.json").read_text()).items()
    assert differences(name, Seen(seen.tensors, {**seen.numbers, "evaluate": scores}), here) == []


@named("run")
def test_the_second_stage_is_trained_again_on_stored_codes(name: str, run: Path, here: str) -> None:
    stored = vqvae.load(run).prior.state_dict()
    training = json.loads((run / "prior" / "config.json").read_text())["extra"]["training"]
    shutil.rmtree(run / "prior")
    shutil.rmtree(run / "checkpoints" / "prior")
    bridge.train_prior(bridge.settings_of(training), run, scored=False)
    again, exact = vqvae.load(run).prior.state_dict(), GOLDEN[name]["canary"] == here
    problems = [tensors_differ(key, again[key], value, NEAR_AFTER_TRAINING) for key, value in stored.items()]
    assert not any(problems), problems
    assert not exact or all(torch.equal(again[key], value) for key, value in stored.items())


@named("run")
def test_a_finished_run_stays_as_it_is(name: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Started again, neither stage is trained, though fields of its settings may have come since."""
    before = {path: path.read_bytes() for path in run.rglob("*.safetensors")}
    training = {part: json.loads((run / part / "config.json").read_text())["extra"]["training"] for part in ("tokenizer", "prior")}
    bridge.train_tokenizer(bridge.settings_of(training["tokenizer"]), run, "golden")
    bridge.train_prior(bridge.settings_of(training["prior"]), run, scored=False)
    assert capsys.readouterr().err.count("nothing is left to train") == 2
    assert {path: path.read_bytes() for path in run.rglob("*.safetensors")} == before


def test_every_kind_is_here_and_no_run_is_large() -> None:
    """A golden run is never taken away."""
    text = "".join(path.read_text() for path in FOLDER.glob("*/**/config.json"))
    assert [kind for kind in sorted(KINDS) if f'"{kind}"' not in text] == []
    assert len(GOLDEN) >= 38
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc") < MOST_BYTES
    assert {path.suffix for name in GOLDEN for path in (FOLDER / name).rglob("*") if path.is_file()} <= {".json", ".jsonl", ".safetensors"}


def test_what_is_stored_tells_models_apart() -> None:
    """Codes, draws and reconstructions are no constants: a comparison of those would see nothing."""
    flat = []
    for name in GOLDEN:
        for key, value in load_file(FOLDER / name / "expected.safetensors").items():
            watched = key.split(".")[-1] in ("codes", "decoded", "chain drawn", "drawn", "chain sample", "latents", "reconstructed")
            if watched and value.numel() and len(np.unique(value.numpy())) < 3:
                flat.append(f"{name}: {key}")
    assert flat == []
