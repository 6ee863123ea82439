import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vqvae.reports import results
from vqvae.reports.results import commit, hardware, markdown_table, this_command, write_results

TABLE = {"title": "Speed", "columns": ["what", "ratio"], "rows": [["ours", "2.86"]], "seconds": 12.5}


def test_the_two_files_say_the_same_and_floats_keep_every_digit(tmp_path):
    ratio = 1 / 0.35
    record = write_results(
        tmp_path / "deep", "speed", command="python benchmarks/speed.py --rounds 3", values={"ratio": ratio}, steps=3, notes="Why.", **TABLE
    )
    read = json.loads((tmp_path / "deep" / "speed.json").read_text())
    assert read == record and read["ratio"] == ratio
    assert (read["name"], read["steps"], read["seconds"]) == ("speed", 3, 12.5)
    text = (tmp_path / "deep" / "speed.md").read_text()
    for part in (
        "# Speed\n",
        "| ours | 2.86  |",
        "\nWhy.\n",
        "Written by `python benchmarks/speed.py --rounds 3`",
        read["commit"],
        "3 steps",
    ):
        assert part in text
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"speed.md", "speed.json"}


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert write_results(None, "speed", command="x", values={"ratio": 2.0}, **TABLE)["ratio"] == 2.0
    assert list(tmp_path.iterdir()) == []


def test_no_absolute_path_and_no_number_that_json_lacks_is_written(tmp_path):
    command = f"python benchmarks/speed.py --data {tmp_path}/cifar10 --out={tmp_path}/results --run ~/mine --share docs/results"
    values = {"data": {"path": f"{tmp_path}/cifar10", "sizes": (1, 2)}, "lost": math.nan, "runs": [math.inf, Path("/a/b")]}
    record = write_results(tmp_path, "speed", command=command, values=values, **TABLE)
    assert record["command"] == "python benchmarks/speed.py --data cifar10 --out=results --run mine --share docs/results"
    assert (record["data"], record["lost"], record["runs"]) == ({"path": "cifar10", "sizes": [1, 2]}, None, [None, "b"])
    for name in ("speed.md", "speed.json"):
        assert str(tmp_path) not in (tmp_path / name).read_text()


def test_values_that_would_hide_other_fields_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\['commit', 'seconds'\]"):
        write_results(tmp_path, "speed", command="x", values={"seconds": 1, "commit": "y", "ratio": 1}, **TABLE)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_results(tmp_path, "speed", command="x", values={"ratio": 1.0}, **TABLE)
    with pytest.raises(TypeError):
        write_results(tmp_path, "speed", command="x", values={"ratio": torch.zeros(2)}, **TABLE)
    assert json.loads((tmp_path / "speed.json").read_text())["ratio"] == 1.0


def test_the_table_is_aligned_and_refuses_a_short_row():
    assert markdown_table(["a", "b"], [["long", "1"]]) == "| a    | b |\n| ---- | - |\n| long | 1 |"
    with pytest.raises(ValueError, match="1 cells"):
        markdown_table(["a", "b"], [["long"]])


def test_hardware_names_the_processor_and_no_gpu_on_a_cpu():
    found = hardware()
    assert found["gpu"] is None and found["threads"] == torch.get_num_threads() and found["torch"] == torch.__version__
    if Path("/proc/cpuinfo").is_file():
        text = Path("/proc/cpuinfo").read_text()
        assert found["cpu"] in text and ("AVX512F" in found["features"]) == (" avx512f " in text)


def _git(folder, *words):
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository that holds the package's folder as the module sees it."""
    here = tmp_path / "src" / "vqvae" / "evaluation"
    here.mkdir(parents=True)
    (here.parent / "errors.py").write_text("x = 1\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(results, "_HERE", here)
    return tmp_path


def test_the_commit_is_that_of_the_working_tree_and_dirty_where_it_changed(checkout):
    clean = commit()
    assert len(clean) == 40 and not clean.endswith("-dirty")
    (checkout / "docs").mkdir()
    (checkout / "docs" / "speed.md").write_text("new")
    assert commit(ignoring=checkout / "docs") == clean
    assert commit() == f"{clean}-dirty"
    (checkout / "src" / "vqvae" / "errors.py").write_text("x = 2\n")
    assert commit(ignoring=checkout / "docs") == f"{clean}-dirty"
    assert commit(ignoring=checkout) == f"{clean}-dirty"


def test_the_commit_of_a_package_that_is_only_installed_in_a_checkout_is_unknown(checkout, monkeypatch):
    installed = checkout / ".venv" / "vqvae" / "evaluation"
    installed.mkdir(parents=True)
    (installed.parent / "errors.py").write_text("x = 1\n")
    monkeypatch.setattr(results, "_HERE", installed)
    assert commit() == "unknown"


def test_the_command_is_as_typed_at_the_root(checkout, monkeypatch):
    script = checkout / "benchmarks" / "speed.py"
    script.parent.mkdir()
    script.write_text("")
    monkeypatch.setattr(sys, "argv", [str(script), "--rounds", "3", "--title", "two words"])
    assert this_command() == "python benchmarks/speed.py --rounds 3 --title 'two words'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/else/speed.py"])
    assert this_command() == "python speed.py"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/vqvae", "reproduce", "e2"])
    assert this_command() == "vqvae reproduce e2"
