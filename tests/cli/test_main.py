"""The command line as a whole, from a folder of pictures to samples, in one process."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vqvae
from tests.cli.conftest import TINY
from vqvae.cli.main import COMMANDS, main, usage
from vqvae.recipes import RECIPES


def test_a_run_folder_holds_what_is_promised(run: Path) -> None:
    for name in ("tokenizer", "prior"):
        assert sorted(path.name for path in (run / name).iterdir()) == ["config.json", "weights.safetensors"]
    assert {"checkpoints", "metrics.jsonl", "metrics.json", "report.html", "samples.png", "reconstructions.png"} <= {
        path.name for path in run.iterdir()
    }
    metrics = json.loads((run / "metrics.json").read_text())
    numbers = ("bits_per_dim_uniform", "bits_per_dim_unigram", "bits_per_dim_learned", "bits_per_code", "bits_per_code_unigram")
    for key in (*numbers, "psnr", "ssim", "nmse", "perplexity", "codes_used", "seconds"):
        assert isinstance(metrics[key], float), key
    assert 0 <= metrics["codes_used"] <= 1
    assert metrics["seconds"] == pytest.approx(sum(metrics["seconds_by_stage"].values()))
    assert {"data", "tokenizer", "codes", "prior", "evaluation"} == set(metrics["seconds_by_stage"])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all("step" in row for row in rows) and {row["stage"] for row in rows} == {"tokenizer", "prior"}


def test_the_python_api_reads_it(run: Path) -> None:
    model = vqvae.load(run)
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert model.encode(images).shape == (2, 1, 4, 4)
    assert model.bits_per_dim(images, torch.tensor([0, 1])).shape == (2,)


def test_other_settings_for_a_finished_run_are_an_error(run: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["train", "images", "--data", str(pictures), "--data.classes", "True", "--out", str(run), *TINY]
    assert main([*again, "--seed", "3"]) == 1
    assert "seed" in capsys.readouterr().err
    assert main(again) == 0


def test_bad_files_stop_the_training_or_are_skipped(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    (folder / "train" / "church" / "cut.png").write_bytes((folder / "train" / "church" / "0.png").read_bytes()[:200])
    command = ["train", "images", "--data", str(folder), "--out", str(tmp_path / "run"), *TINY]
    assert main(command) == 1
    assert "cut.png" in (said := capsys.readouterr().err) and "--skip-bad" in said
    assert not (tmp_path / "run").exists()
    assert main([*command, "--skip-bad"]) == 0
    assert main(["train", "cifar10", "--skip-bad"]) == 1
    assert "Omit --skip-bad" in capsys.readouterr().err


def test_wrong_use_is_2_and_failure_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["train", "imgaes"]) == 2
    assert "cifar10-small" in capsys.readouterr().err
    assert main(["info", str(tmp_path), "--no-such-flag"]) == 2
    assert main(["info", str(tmp_path / "nothing")]) == 1
    assert "vqvae train" in capsys.readouterr().err
    assert main(["train", "images"]) == 1
    assert "--data" in capsys.readouterr().err
    assert main(["train", "images", "--data", str(tmp_path / "nothing"), "--out", str(tmp_path / "run")]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_help_names_every_command_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS) and shown == usage() + "\n"
    script = "import sys; from vqvae.cli.main import main; main(['--help']); main(['--version']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


@pytest.mark.parametrize("words", ["recipes", "--help"])
def test_a_reader_that_leaves_is_no_traceback(words: str) -> None:
    code = f"import sys; from vqvae.cli.main import main; sys.exit(main([{words!r}]))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_with_stderr_closed_what_is_said_goes_nowhere(tmp_path: Path) -> None:
    script = f"""
import os
from vqvae.cli.main import main
assert main(["info", {str(tmp_path)!r}]) == 1
os.write(2, b"a signal came")
file = os.open({str(tmp_path / "file")!r}, os.O_WRONLY | os.O_CREAT)
assert file != 2
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "") and (tmp_path / "file").read_text() == ""


def test_stdout_may_be_closed_or_know_few_letters() -> None:
    code = "import sys; from vqvae.cli.main import main; sys.exit(main(['recipes']))"
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "128\\xd7128" in done.stdout and done.stderr == ""


def test_what_the_system_refuses_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["train", "images", "--data", "x" * 5000, "--out", str(tmp_path / "run")]) == 1
    assert re.search(r"^Starting \.\.\.\nvqvae train: .*x.* is too long: a name has at most .*\n\Z", capsys.readouterr().err, re.M)
    assert main(["info", "x" * 5000]) == 1
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert main(["train", str(tmp_path / "deep.json"), "--out", str(tmp_path / "run")]) == 1
    assert "deep.json is not valid JSON: it is nested too deeply" in capsys.readouterr().err
    assert main(["train", "images", "--data", "~nosuchuser/x", "--out", str(tmp_path / "run")]) == 1
    assert "'~nosuchuser/x' names no place" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "smaller batch"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "smaller batch"),
    ],
)
def test_too_little_memory_is_one_line(
    error: BaseException, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr("vqvae.cli.info.main", fail)
    assert main(["info", "run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("vqvae info: ") and words in said and said.count("\n") == 1


def test_other_errors_of_torch_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> int:
        raise RuntimeError("a fault of the package")

    monkeypatch.setattr("vqvae.cli.info.main", fail)
    with pytest.raises(RuntimeError, match="a fault of the package"):
        main(["info", "run"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    try:
        status = main([command, "--help"])
    except SystemExit as leaving:
        status = leaving.code
    assert not status


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    assert {*RECIPES} == set(json.loads(capsys.readouterr().out))
