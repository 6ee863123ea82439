"""``vqvae COMMAND``. A command is imported only when it is called, so help appears at once."""

import importlib
import importlib.metadata
import io
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from vqvae.cli.help import short_help
from vqvae.errors import VqvaeError, is_out_of_memory
from vqvae.progress import showing
from vqvae.words import say

COMMANDS = {
    "demo": "train on generated pictures, speech or video, in minutes",
    "recipes": "list what can be trained, and what it costs",
    "train": "train a tokenizer and a prior on your data",
    "train-prior": "train a prior over the codes of a run",
    "train-coder": "train the entropy coder of a run",
    "evaluate": "score a run on held-out data",
    "reconstruct": "encode files and decode them again",
    "encode": "write the codes of files as tokens",
    "tokenize": "write the codes of a whole data set to shards",
    "flatten": "write shards of codes as one file, to train language models",
    "decode": "turn tokens back into files",
    "compress": "compress files",
    "decompress": "restore compressed files",
    "convert": "convert a recording to another voice",
    "sample": "draw new pictures, recordings, clips or arrays",
    "imagine": "imagine what follows a few frames of video",
    "serve": "serve runs to programs and on a page",
    "info": "show what a run is and how it scores",
    "push": "upload a run to the Hugging Face Hub",
    "export": "write a run as ONNX or PyTorch programs",
    "compare": "compare the scores and pictures of several runs",
    "bench": "compare compressed files with those of other codecs",
    "reproduce": "repeat an experiment of the paper",
}
"""The commands; ``train-prior`` is in the module ``cli/train_prior.py``, and so on."""
QUICK = ("recipes", "info", "compare")
WORKING = tuple(command for command in COMMANDS if command not in QUICK)
"""Commands that take a while. They print at once that they have started."""
LINE = 120
"""The number of characters of a command that are printed."""
FAILURE, WRONG_USE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 for failure, 2 for wrong use, 130 or 143 after an interruption."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    command = arguments[0] if arguments else "help"
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except VqvaeError as error:
        say(f"vqvae {command}: {error}")
        return getattr(error, "exit_code", FAILURE)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. Python must not write to it when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        say(f"vqvae {command}: interrupted.")
        return INTERRUPTED
    except OSError as error:
        # Errors that no part explains: a name that is too long, a folder that cannot be read, a full disk.
        where = "" if error.filename is None else f"{error.filename}: "
        say(f"vqvae {command}: {where}{error.strerror or error}. Give another place, check permissions, or free some space.")
        return FAILURE
    except MemoryError:
        say(f"vqvae {command}: not enough memory. Choose smaller sizes, or close other programs.")
        return FAILURE
    except RecursionError:
        say(f"vqvae {command}: the input is nested too deeply. Check the files that the command reads.")
        return FAILURE
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        say(f"vqvae {command}: not enough memory on the device. Choose a smaller batch or smaller sizes.")
        return FAILURE


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else WRONG_USE
    if arguments[0] in ("-V", "--version"):
        print(f"vqvae {importlib.metadata.version('vqvae')}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        say(f"vqvae: there is no command '{command}'.{hint} See: vqvae --help")
        return WRONG_USE
    if set(rest) & {"-h", "--help"}:
        print(short_help(command))
        return 0
    if command in WORKING and "--help-all" not in rest and os.environ.get("RANK", "0") == "0":
        # Importing torch takes a second or more.
        say(f"vqvae {shlex.join(arguments)[:LINE]}\nStarting ...")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with showing():
        return importlib.import_module(f"vqvae.cli.{command.replace('-', '_')}").main(rest) or 0


def _open_streams() -> None:
    """Open the null device if the caller closed stdout or stderr, so that no other file gets their number. Characters that a stream cannot
    encode are written as escapes."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.fstat(number)
            except OSError:
                os.dup2(nowhere, number)
            setattr(sys, name, os.fdopen(nowhere, "w", encoding="utf-8"))
        elif isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def usage() -> str:
    """The table of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: vqvae [--version] COMMAND ...",
            "",
            "Learn discrete codes for images, speech, video and arrays, and priors over the codes. Draw samples, compress, and score.",
            "",
            *lines,
            "",
            "vqvae COMMAND --help explains one of them.",
        ]
    )
