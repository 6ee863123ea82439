import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vqvae.data.renderers import make_arrays, run_renderers, worker_count
from vqvae.errors import DataError

_FILL = """
import json, sys
import numpy as np
task = json.loads(sys.argv[1])
open("left behind", "w").close()
if task["row"] == 5:
    sys.exit("there is no row 5.")
np.load(task["path"], mmap_mode="r+")[task["row"]] = task["row"] + 1
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "fill.py"
    path.write_text(_FILL)
    return path


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "arrays"
    place.mkdir()
    make_arrays(place, numbers=(np.int64, (3, 2)))
    return place


def test_programs_fill_arrays_and_leave_nothing(program, folder):
    tasks = [{"row": row, "path": str(folder / "numbers.npy")} for row in range(3)]
    run_renderers(program, tasks, folder, "The array", "nothing")
    assert np.load(folder / "numbers.npy").tolist() == [[1, 1], [2, 2], [3, 3]]
    assert os.listdir(folder) == ["numbers.npy"]


def test_a_task_may_be_long(program, folder):
    run_renderers(program, [{"row": 1, "path": str(folder / "numbers.npy"), "seeds": ["0" * 20] * 20_000}], folder, "The array", "nothing")
    assert np.load(folder / "numbers.npy")[1].tolist() == [2, 2]


def test_the_last_line_of_a_program_that_fails_is_the_reason(program, folder):
    with pytest.raises(DataError, match=r"^The array was not rendered: there is no row 5\.$"):
        run_renderers(program, [{"row": 0, "path": str(folder / "numbers.npy")}, {"row": 5}], folder, "The array", "nothing")
    assert os.listdir(folder) == ["numbers.npy"]


def test_a_program_that_crashes_without_a_word_is_explained(program, folder):
    program.write_text("import os; os._exit(7)")
    with pytest.raises(DataError, match=r"the engine crashed \(exit code 7\); it may be old\.$"):
        run_renderers(program, [{}], folder, "The array", "it may be old")


def test_there_are_no_more_programs_than_work():
    assert worker_count(1) == 1 and 1 <= worker_count(1000) <= 8


def test_the_folder_may_be_relative(program, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda suffix, prefix, dir: _made(os.path.join(dir, "scratch")))  # As in Python 3.11.
    run_renderers(program, [{"row": 1, "path": str(folder / "numbers.npy")}], Path(folder.name), "The array", "nothing")
    assert np.load(folder / "numbers.npy")[1].tolist() == [2, 2]


def _made(path):
    os.mkdir(path)
    return path
