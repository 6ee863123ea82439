import subprocess
import sys
from pathlib import Path

from tests.fuzz import harness

ROOT = Path(__file__).resolve().parents[2]


def test_a_slice_of_the_fuzzers_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", "--slice"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_findings_are_grouped_and_can_be_repeated(capsys):
    harness.report([harness.Finding("runs", 3, number, "what", "KeyError") for number in (5, 6)])
    assert capsys.readouterr().out.splitlines() == ["2 × KeyError", "    what", "    python -m tests.fuzz runs --seed 3 --only 5"]
