import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import harness

ROOT = Path(__file__).resolve().parents[2]
WRONG_TYPES = """
import torch, vqvae, vqvae.data
from tests.fuzz.harness import GOLDEN
from vqvae import storage
from vqvae.training import JointConfig

tensor = torch.zeros(2, 2)
model = storage.load(GOLDEN / "gumbel" / "part")
codes = torch.zeros(1, 1, 4, 4, dtype=torch.int64)
calls = {
    "save no pipeline": lambda: vqvae.save(-0.0, tensor),
    "save a pipeline to a tensor": lambda: vqvae.save(vqvae.Pipeline(model), tensor),
    "load": lambda: vqvae.load(tensor),
    "a path of bytes": lambda: storage.load(b"run"),
    "a picture": lambda: vqvae.data.read_image(3),
    "options": lambda: vqvae.RunOptions(keep_last=tensor),
    "joint": lambda: JointConfig(tokenizer=tensor, prior=tensor),
    "float codes": lambda: model.decode(codes.float()),
    "codes of bool": lambda: model.vectors(codes.bool()),
    "codes of NumPy": lambda: model.decode(codes.numpy()),
    "codes as text": lambda: model.decode("codes"),
    "no codes": lambda: model.decode(None),
}
for name, call in calls.items():
    try:
        call()
    except vqvae.VqvaeError as error:
        print(name, "is an error")
    except Exception as error:
        print(name, type(error).__name__, error)
    else:
        print(name, "passes")
"""


def test_a_slice_of_the_fuzzers_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", "--slice"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_slice_of_hostile_values_in_runs_finds_nothing():
    command = [sys.executable, "-m", "tests.fuzz.values_of_runs", "--every", "251"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "10 of 2" in done.stdout, done.stdout + done.stderr


def test_a_run_that_was_killed_goes_on_to_the_same_result():
    command = [sys.executable, "-m", "tests.fuzz.kills", "train", "--first", "60", "--every", "100000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "train: 1 kills, 0 faults" in done.stdout, done.stdout + done.stderr


def test_findings_are_grouped_and_can_be_repeated(capsys):
    harness.report([harness.Finding("runs", 3, number, "what", "KeyError") for number in (5, 6)])
    assert capsys.readouterr().out.splitlines() == ["2 × KeyError", "    what", "    python -m tests.fuzz runs --seed 3 --only 5"]


def test_values_of_other_types_are_errors_of_ours():
    # A process of its own: under pytest, jaxtyping and beartype would be first.
    done = subprocess.run([sys.executable, "-c", WRONG_TYPES], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 12 and all(line.endswith("is an error") for line in lines), done.stdout + done.stderr


@pytest.mark.parametrize(("kind", "count"), [("payloads", 150), ("containers", 200)])
def test_a_slice_of_damaged_bytes_finds_nothing(kind, count):
    command = [sys.executable, "-m", f"tests.fuzz.{kind}", "--count", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"{count} "), done.stdout + done.stderr
