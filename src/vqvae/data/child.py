"""Run a program that ends, with all processes that it started, when its parent process ends, even by SIGKILL.

``renderers.py`` runs this file as a program: ``child.py PROGRAM FILE``, with the task in the file. It imports nothing from the package, so
it starts at once.
"""

import contextlib
import os
import re
import runpy
import signal
import sys
import threading


def _end_with_parent() -> None:
    # Standard input is a pipe from the parent process: it closes when the parent ends, even by SIGKILL.
    # os.read holds no lock that would block a normal exit.
    os.read(0, 1)
    for name in _shared_memory():
        with contextlib.suppress(OSError):
            os.unlink(name)
    # An engine may be a separate process, in the process group of this one.
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _shared_memory() -> set[str]:
    """Shared files of this process and ViZDoom's engine. Only these two know their names, and the files outlive both."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            return {path[0] for line in maps if (path := re.findall(r"/dev/shm/ViZDoom\S*", line))}
    except OSError:
        return set()


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(sys.argv[2], encoding="utf-8") as _task:
        sys.argv = [sys.argv[1], _task.read()]
    runpy.run_path(sys.argv[0], run_name="__main__")
