"""The examples of the guides run as they are shown, also in a new process."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from tests.models.test_speech import make as speech_tokenizer
from tests.pipeline.test_model import images, tokenizer
from tests.storage.hub_server import Hub
from tests.tokenization.conftest import RUN
from vqvae.cli.main import main
from vqvae.export import export
from vqvae.media.tokens import TokenLayout, Tokens, write_tokens

GUIDES = Path(__file__).parents[1] / "docs" / "guides"
LOAD = """
import torch, vqvae
from own import DecoderConfig, EncoderConfig

again = vqvae.load("runs/own", parts=[EncoderConfig, DecoderConfig])
torch.save({"codes": again.encode(again.sample(8)), "size": torch.tensor(again.size)}, "codes.pt")
try:
    vqvae.load("runs/own")
except vqvae.CheckpointError as error:
    assert "'EncoderConfig'" in str(error) and "parts=[EncoderConfig]" in str(error), error
else:
    raise AssertionError("a class was found that nobody named")
"""


def blocks(guide: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (GUIDES / guide).read_text(encoding="utf-8"), re.DOTALL)


def test_a_network_and_data_of_ones_own(tmp_path: Path) -> None:
    script, own, *_ = blocks("own-models.md")
    assert len([line for line in script.splitlines() if line.strip()]) <= 25
    (tmp_path / "own.py").write_text(own)
    (tmp_path / "train.py").write_text(script + "torch.save(codes, 'first.pt')\n".replace("torch", "import torch; torch"))
    (tmp_path / "load.py").write_text(LOAD)
    for name in ("train.py", "load.py"):
        done = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    first, again = (torch.load(tmp_path / name, weights_only=True) for name in ("first.pt", "codes.pt"))
    assert again["codes"].shape == (8, 1, 24) and torch.equal(again["codes"], first) and again["size"].tolist() == [96]
    assert (tmp_path / "runs" / "own" / "report.html").is_file()


def test_what_follows_in_the_guide() -> None:
    _, own, *rest = blocks("own-models.md")
    names: dict = {}
    exec("import vqvae\n" + own, names)
    for block in rest:
        exec(block, names)
    assert names["signal"].sample_rate == 16000 and names["criteria"][0].weight == 0.1


def test_a_loop_of_ones_own() -> None:
    names: dict = {}
    for block in blocks("own-loops.md"):
        exec(block, names)
    assert names["latents"].grad is not None and names["vectors"].shape == (8, 64, 100)
    assert names["objective"].loss.isfinite() and names["codes"][0].shape == (4, 1, 24)


def test_several_codebooks() -> None:
    names: dict = {}
    (block,) = blocks("codes.md")
    exec(block, names)
    assert names["product"].build().num_codebooks == names["residual"].build().num_codebooks == 4
    assert names["finite"].build().codebook_size == 1000


def test_an_npz_file_of_tokens_is_read_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [Tokens(name=f"{n}.png", size=(8, 8 * n), levels=(np.arange(4 * n).reshape(2, 2, n),)) for n in (1, 2)]
    write_tokens(Path("tokens.npz"), rows, TokenLayout(levels=((2, 16),)))
    names: dict = {}
    (block,) = blocks("tokens.md")
    exec(block, names)
    assert list(names["codes"]) == ["1.png", "2.png"]
    assert all((names["codes"][row.name] == row.levels[0]).all() for row in rows)


def test_shards_of_codes_are_read_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    np.save("x.npy", pixels)
    vqvae.tokenize(RUN, "x.npy", "codes", shard_size=4, workers=1)
    assert main(["flatten", "codes", "--out", "tokens.bin", "--offset", "50257", "--begin", "50769", "--end", "50770"]) == 0
    for block in blocks("read-codes.md"):
        exec(block, names)
    expected = vqvae.load(RUN).encode(torch.from_numpy(pixels).movedim(-1, 1)).numpy()
    flat = expected.reshape(9, -1)
    assert np.array_equal(names["codes"], expected[0]) and np.array_equal(np.stack(names["by_name"]), flat)
    assert names["batch"].shape == (4, flat.shape[1])
    assert names["used"] == [*zip(*map(np.ndarray.tolist, np.unique(flat, return_counts=True)), strict=True)]
    ends = np.full((9, 1), 50769), np.full((9, 1), 50770)
    assert np.array_equal(names["tokens"], np.hstack([ends[0], flat + 50257, ends[1]]).ravel())
    assert np.array_equal(names["item"].codes[0], expected[-1])


def test_a_model_is_shared_through_the_hub_as_shown(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vqvae.save(vqvae.Pipeline(tokenizer()), "runs/mine")
    names: dict = {}
    exec(blocks("share.md")[0], names)
    assert names["page"].endswith("/alice/photos") and "alice/photos" in hub.private
    assert torch.equal(names["model"].encode(images(1)), names["same"].encode(images(1)))


@pytest.mark.slow
def test_exported_programs_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = vqvae.Pipeline(tokenizer())
    export(model, "exported")
    export(model, "exported-pt2", "pt2", encoder_only=True)
    names: dict = {}
    for block in blocks("share.md")[1:3]:
        exec(block, names)
        assert torch.equal(torch.as_tensor(names["codes"]), model.encode(torch.zeros_like(model.decode(torch.as_tensor(names["codes"])))))
    assert names["decoded"].shape == (2, 3, 32, 20) and names["codes"].shape == (1, 1, 8, 16)


def test_an_audio_tokenizer_is_used_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    decoder = vqvae.SpectralDecoderConfig(stride=32, width=8, blocks=1, n_fft=32, hop=8)
    vqvae.save(vqvae.Pipeline(speech_tokenizer("spectral", decoder=decoder), rate=16_000), "runs/speech")
    exec(blocks("share.md")[3], {})
    assert capsys.readouterr().out == "16000 torch.Size([2, 1, 100]) torch.Size([2, 1, 3200])\n"
