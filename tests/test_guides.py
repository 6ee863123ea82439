"""The examples of the guides run as they are shown, also in a new process."""

import re
import subprocess
import sys
from pathlib import Path

import torch

GUIDE = Path(__file__).parents[1] / "docs" / "guides" / "own-models.md"
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


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_a_network_and_data_of_ones_own(tmp_path: Path) -> None:
    script, own, *rest = blocks()
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


def test_what_follows_in_the_guide(tmp_path: Path) -> None:
    _, own, *rest = blocks()
    names: dict = {}
    exec("import vqvae\n" + own, names)
    for block in rest:
        exec(block, names)
    assert names["latents"].grad is not None and names["objective"].loss.isfinite()
    assert names["signal"].sample_rate == 16000
