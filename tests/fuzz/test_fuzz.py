import subprocess
import sys
from pathlib import Path

from tests.fuzz import harness

ROOT = Path(__file__).resolve().parents[2]


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
