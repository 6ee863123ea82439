"""The stages of a run: what each leaves behind, and what it says where something is missing."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from tests.evaluation.speech.test_scores import SPECTRAL, audio, pipeline
from tests.experiments.small import OPTIONS
from tests.training import tiny
from vqvae import storage
from vqvae.data import AudioDataset, SyntheticImagesConfig, VoicesConfig
from vqvae.errors import CheckpointError, ConfigError, VqvaeError
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.kinds import SOUND
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig, WaveNetConfig
from vqvae.recipes import RECIPES
from vqvae.runs import scores
from vqvae.runs.defaults import prior_config
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import moved, read_metrics, recipe_of, stored_data, trained_seconds
from vqvae.runs.scores import evaluate, score
from vqvae.runs.stages import train_part, train_prior, train_tokenizer

DATA = SyntheticImagesConfig(count=60, size=8, classes=3)
PRIOR = PixelCNNConfig(codebook_size=8, layers=1, hidden=4, output_hidden=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages, a few steps each."""
    run = tmp_path_factory.mktemp("runs") / "run"
    train_tokenizer(tiny.settings(data=DATA, steps=3), OPTIONS, run, recipe="tiny", scored=False)
    train_prior(tiny.settings(model=PRIOR, steps=3), OPTIONS, run)
    return run


def test_codes_are_those_of_the_tokenizer_for_both_sides(run: Path) -> None:
    model = vqvae.load(run)
    for codes, data in zip(read_codes(run), DATA.build(), strict=True):
        rows = torch.arange(len(data)).numpy()
        assert len(codes) == len(data)
        assert torch.equal(codes.batch(rows).x, model.encode(data.batch(rows).x))
        assert torch.equal(codes.batch(rows).condition.label, data.batch(rows).condition.label)


def test_every_stage_leaves_its_part_and_its_time(run: Path) -> None:
    metrics = read_metrics(run)
    # Other tests may add priors of their own to this run.
    others = {stage for stage in metrics["seconds_by_stage"] if stage.startswith("priors/")}
    assert set(metrics["seconds_by_stage"]) - others == {"data", "tokenizer", "codes", "prior", "evaluation"}
    assert metrics["seconds"] == pytest.approx(sum(metrics["seconds_by_stage"].values()))
    assert metrics["seconds_by_stage"]["prior"] == trained_seconds(run, "prior") > 0
    assert recipe_of(run) == "tiny" and storage.read(run / "tokenizer").card.size == (8, 8)
    for name in ("report.html", "reconstructions.png", "samples.png"):
        assert (run / name).is_file()
    page = (run / "report.html").read_text()
    assert "vqvae train tokenizer.json" in page and "4×4 pixels" not in page and "2×2 pixels" in page


def test_an_evaluation_gives_what_it_writes(run: Path) -> None:
    before = read_metrics(run)
    found = evaluate(run, stored_data(run).held_out, OPTIONS)
    assert found == read_metrics(run) == json.loads((run / "metrics.json").read_text())
    assert found["bits_per_dim_learned"] == before["bits_per_dim_learned"]


def test_speakers_of_other_data_are_known_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = pipeline(), audio(("two", "one"))
    seen: list[AudioDataset] = []
    found = Evaluation(scores={}, counts=torch.zeros(1, 8))
    monkeypatch.setattr(
        scores, "kind_of", lambda _: dataclasses.replace(SOUND, score=lambda _, held_out: (seen.append(held_out), found)[1])
    )
    score(model, data)
    assert [one.speaker for one in seen[0].recordings] == [1, 0, 1, 0] and seen[0].label_names == model.label_names
    score(model, audio())
    assert [one.speaker for one in seen[1].recordings] == [0, 1, 0, 1]
    with pytest.raises(ConfigError, match="The speakers here are zed"):
        score(model, audio(("one", "zed")))


def test_classes_of_other_pictures_must_be_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = vqvae.load(run)
    other = dataclasses.replace(DATA, classes=2).build().held_out
    monkeypatch.setattr(Pipeline, "is_conditional", True)
    with pytest.raises(ConfigError, match="Give data with the same classes"):
        score(model, other)


def test_a_run_of_an_unknown_recipe_has_a_prior_for_its_kind_of_data(run: Path, tmp_path: Path) -> None:
    assert isinstance(prior_config(run).model, PixelCNNConfig)
    data = VoicesConfig(voices=("en-us+f1",), unseen_voices=(), sentences=4, chunk=4_096, hop=4_096)
    train_tokenizer(tiny.settings(model=SPECTRAL, data=data, steps=1), OPTIONS, tmp_path / "speech", recipe="mine", scored=False)
    assert isinstance(prior_config(tmp_path / "speech").model, WaveNetConfig)


def test_codes_of_filled_up_examples_are_masked(tmp_path: Path) -> None:
    data = VoicesConfig(voices=("en-us+f1",), unseen_voices=(), sentences=4, chunk=65_536, hop=65_536)
    train_tokenizer(tiny.settings(model=SPECTRAL, data=data, steps=1), OPTIONS, tmp_path, recipe="mine", scored=False)
    codes, batch = read_codes(tmp_path).train.batch(np.arange(3)), data.build().train.batch(np.arange(3))
    assert codes.mask is not None and batch.mask is not None
    assert codes.mask.sum(1).tolist() == [-(-int(length) // 16) for length in batch.mask.sum(1)] and not codes.mask.all()
    assert int(vqvae.load(tmp_path).unigram.counts.sum()) == sum(
        int(read_codes(tmp_path).train.batch(np.array([i])).mask.sum()) for i in range(4)
    )


def test_a_part_is_trained_once(tmp_path: Path) -> None:
    config = tiny.settings(steps=2)
    first = train_part(config, tiny.splits(), OPTIONS, tmp_path, "part", recipe="tiny")
    lines = (tmp_path / "metrics.jsonl").read_bytes()
    again = train_part(config, tiny.splits(), OPTIONS, tmp_path, "part", recipe="tiny")
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert (tmp_path / "metrics.jsonl").read_bytes() == lines and not (tmp_path / "report.html").exists()


def test_what_is_missing_is_said(tmp_path: Path, run: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.data is null"):
        train_tokenizer(tiny.settings(), OPTIONS, tmp_path, recipe="tiny")
    with pytest.raises(ConfigError, match="builds a PixelCNN"):
        train_tokenizer(tiny.settings(model=PRIOR, data=DATA), OPTIONS, tmp_path, recipe="tiny")
    with pytest.raises(ConfigError, match="builds a VQVAE"):
        train_prior(tiny.settings(), OPTIONS, run)
    with pytest.raises(CheckpointError, match="no trained tokenizer"):
        train_prior(tiny.settings(model=PRIOR), OPTIONS, tmp_path)
    for made in (DATA, VoicesConfig()):
        with pytest.raises(ConfigError, match="generated, not read from a folder"):
            moved(made, "elsewhere")
    assert moved(RECIPES["images"].tokenizer("here").data, "there").path == "there"


def test_the_report_names_the_command_of_a_demo() -> None:
    assert {name: recipe.command for name, recipe in RECIPES.items() if recipe.command} == {
        "demo": "vqvae demo",
        "speech-demo": "vqvae demo --modality speech",
        "video-demo": "vqvae demo --modality video",
    }


def test_a_prior_of_other_codes_is_refused_before_the_training(run: Path) -> None:
    wrong = dataclasses.replace(PRIOR, codebook_size=9)
    with pytest.raises(ConfigError, match="of 9 codes; the tokenizer has 1 of 8"):
        train_prior(tiny.settings(model=wrong, steps=3), OPTIONS, run, name="wrong")
    assert not (run / "priors" / "wrong").exists()


def test_a_prior_with_a_name_has_scores_of_its_own(run: Path) -> None:
    before = (run / "metrics.json").read_bytes()
    train_prior(tiny.settings(model=PRIOR, steps=2), OPTIONS, run, name="small")
    assert storage.read(run / "priors" / "small").card.training["steps"] == 2
    assert "bits_per_dim_learned" in read_metrics(run / "scores" / "small")
    assert storage.read(run / "prior").card.training["steps"] == 3
    assert json.loads(before)["bits_per_dim_learned"] == read_metrics(run)["bits_per_dim_learned"]


def test_scores_that_fail_lose_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: object, **more: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr("vqvae.runs.stages.evaluate", fail)
        with pytest.raises(VqvaeError, match="tokenizer is trained and saved, but the next step failed: out of memory"):
            train_tokenizer(tiny.settings(data=DATA, steps=2), OPTIONS, tmp_path, recipe="tiny")
    train_tokenizer(tiny.settings(data=DATA, steps=2), OPTIONS, tmp_path, recipe="tiny")
    assert (tmp_path / "report.html").is_file()


def test_more_steps_of_a_tokenizer_put_its_old_prior_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_tokenizer(tiny.settings(data=DATA, steps=2), OPTIONS, tmp_path, recipe="tiny", scored=False)
    train_prior(tiny.settings(model=PRIOR, steps=2), OPTIONS, tmp_path, scored=False)
    assert vqvae.load(tmp_path).prior is not None
    train_tokenizer(tiny.settings(data=DATA, steps=4), OPTIONS, tmp_path, recipe="tiny", scored=False)
    assert vqvae.load(tmp_path).prior is None, "it knows other codes"
    train_prior(tiny.settings(model=PRIOR, steps=2), OPTIONS, tmp_path, scored=False)
    assert "earlier codes of the tokenizer" in capsys.readouterr().err
    assert (tmp_path / "former" / "1" / "prior").is_dir() and vqvae.load(tmp_path).prior is not None
