"""A run folder's parts as a pipeline, and back."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vqvae
from tests.pipeline.test_model import NAMES, images, prior, tokenizer
from vqvae import storage
from vqvae.errors import CheckpointError, ConfigError
from vqvae.pipeline import Pipeline, load, prior_folder, prior_names, save
from vqvae.priors import PixelCNNConfig, UnigramPriorConfig


def test_a_saved_pipeline_is_read_back(tmp_path: Path) -> None:
    unigram = UnigramPriorConfig(codebook_size=5).build()
    unigram.count(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
    model = Pipeline(tokenizer(), prior(classes=3), unigram=unigram, label_names=NAMES, size=(16, 16))
    save(model, tmp_path / "run")
    again = vqvae.load(tmp_path / "run")
    assert (again.label_names, again.size) == (NAMES, (16, 16))
    assert torch.equal(again.encode(images(2)), model.encode(images(2)))
    assert torch.equal(again.sample(2, seed=1), model.sample(2, seed=1))
    assert torch.equal(again.unigram.counts, unigram.counts)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="vqvae train"):
        load(tmp_path / "nothing")
    (tmp_path / "half" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="not trained to the end"):
        load(tmp_path / "half")
    save(Pipeline(tokenizer()), tmp_path / "run")
    (tmp_path / "run" / "tokenizer").rename(tmp_path / "run" / "prior")
    save(Pipeline(tokenizer()), tmp_path / "other")
    (tmp_path / "other" / "tokenizer").rename(tmp_path / "run" / "tokenizer")
    with pytest.raises(CheckpointError, match="holds a VQVAE"):
        load(tmp_path / "run", prior="")
    assert load(tmp_path / "run").priors == (), "the tokenizer works without it"


def test_a_wrong_place_says_what_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(Pipeline(tokenizer()), Path("runs/photos"))
    Path("runs/file").write_text("")
    for place, words in {
        "runs/fotos": r"There is no run runs/fotos\. Did you mean runs/photos\? .*write hf:runs/fotos",
        "alice/model": r"no run alice/model\. For a model on the Hugging Face Hub, write hf:alice/model\. To train one",
        "/nowhere/x": r"There is no run /nowhere/x\. To train one: vqvae train RECIPE --out /nowhere/x",
        "runs/file": "runs/file is a file",
        "runs/photos/tokenizer": r"one part of a run\. Give the run folder: runs/photos",
        "https://huggingface.co/alice/photos/tree/v1": "write hf:alice/photos@v1",
    }.items():
        with pytest.raises(CheckpointError, match=words):
            load(place)


def test_a_stopped_stage_is_loaded_from_its_last_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = Pipeline(tokenizer(), prior())
    save(model, tmp_path)
    for part, place in (("tokenizer", "checkpoints"), ("prior", "checkpoints/prior")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / part).rename(tmp_path / place / "step-000007")
    again = load(tmp_path)
    assert torch.equal(again.encode(images(2)), model.encode(images(2))) and again.prior is not None
    assert "tokenizer is not finished; using its checkpoint after step 7" in caplog.text


def test_a_bad_prior_leaves_the_tokenizer_usable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(Pipeline(tokenizer()), tmp_path)
    storage.save(PixelCNNConfig(codebook_size=9, layers=1, hidden=4).build(), tmp_path / "prior")
    assert load(tmp_path).priors == ()
    assert "a prior of 1 codebooks of 9 codes; the tokenizer has 1 of 5. It is not used." in caplog.text
    (tmp_path / "prior" / "config.json").write_text("{")
    assert load(tmp_path).priors == ()


def test_a_prior_is_chosen_by_its_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(Pipeline(tokenizer()), tmp_path)
    storage.save(prior(), prior_folder(tmp_path, 0, "big"))
    assert load(tmp_path).prior is not None, "the only one"
    storage.save(prior(), prior_folder(tmp_path, 0, "small"))
    assert load(tmp_path).prior is None and "the priors big, small" in caplog.text
    assert load(tmp_path, prior="small").prior is not None
    assert prior_names(tmp_path) == ["big", "small"]
    with pytest.raises(CheckpointError, match="no prior 'other'; it has 'big', 'small'"):
        load(tmp_path, prior="other")
    with pytest.raises(ConfigError, match="letters"):
        prior_folder(tmp_path, 0, "../up")


@pytest.mark.parametrize("folder", ["a\0b", "a" * 300, "\ud800"])
def test_a_folder_that_is_no_path_is_an_error(folder: str) -> None:
    model = Pipeline(tokenizer())
    for call in (lambda: save(model, folder), lambda: load(folder)):
        with pytest.raises(CheckpointError, match=r"[Pp]ath"):
            call()


def test_loading_encoding_and_sampling_leave_the_compiler_of_torch_asleep() -> None:
    run = Path(__file__).parents[1] / "golden" / "run-images" / "run"
    code = f"""
import sys, vqvae
model = vqvae.load({str(run)!r})
model.encode(model.sample(1))
print({{"torch._dynamo", "sympy"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr
