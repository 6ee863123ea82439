import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqvae.data import child


def test_it_runs_a_program_as_if_it_had_been_started_itself(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys\nif __name__ == '__main__':\n    print(sys.argv)\n    sys.exit(3)")
    (tmp_path / "task").write_text("what to do")
    command = [sys.executable, "-P", child.__file__, str(program), str(tmp_path / "task")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read()
    assert process.returncode == 3 and json.loads(output.replace("'", '"')) == [str(program), "what to do"]


def test_what_an_engine_shares_goes_with_its_parent() -> None:
    """A renderer whose parent is gone takes with it what it has mapped, and all processes that it has started."""
    name = Path(f"/dev/shm/ViZDoomTest{os.getpid()}")
    if not name.parent.is_dir():
        pytest.skip("there is no shared memory among the files of this system")
    code = (
        f"import mmap, subprocess, sys; from vqvae.data.child import _end_with_parent\n"
        f"file = open({str(name)!r}, 'w+b'); file.truncate(4096); shared = mmap.mmap(file.fileno(), 4096)\n"
        "engine = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], stdout=subprocess.DEVNULL)\n"
        "print(engine.pid, flush=True)\n_end_with_parent()"
    )
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, text=True, **streams) as renderer:
        engine = int(renderer.stdout.readline())
        assert name.exists() and Path(f"/proc/{engine}").exists()
        renderer.stdin.close()
        renderer.wait()
    status = Path(f"/proc/{engine}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"
    assert not name.exists()
