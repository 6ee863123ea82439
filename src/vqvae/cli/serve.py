"""``vqvae serve RUN...``."""

import os
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse
from vqvae.cli.values import Device
from vqvae.config import settings
from vqvae.devices import pick_device
from vqvae.errors import ConfigError, MissingExtraError
from vqvae.serving.settings import HERE, ServeOptions

TOKEN = "VQVAE_TOKEN"
"""The variable of the environment that a token may come from: other users see the arguments of a program."""


@settings
class Arguments:
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")]
    """Run folders, or models hf:OWNER/NAME. Each is served under the name of its folder."""
    port: int = field(default=8000, metadata={"bounds": (0, 65_535)})
    """The port. 0: any free one."""
    host: str = "127.0.0.1"
    """The address. Only this machine reaches 127.0.0.1. Another address needs a token."""
    token: str | None = None
    """What clients must send as "Authorization: Bearer TOKEN". Default: the variable VQVAE_TOKEN, if it is set."""
    without_token: bool = False
    """Serve other machines without a token."""
    open: bool = False
    """Open the page in a browser."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""
    options: Annotated[ServeOptions, tyro.conf.arg(name="")] = field(default_factory=ServeOptions)


def main(arguments: Sequence[str]) -> int:
    """Serve runs until Ctrl-C."""
    chosen = parse(Arguments, "serve", arguments, "Serve runs to programs, and to people on a page.")
    token = chosen.token if chosen.token is not None else os.environ.get(TOKEN)
    if token is not None and (not token.isascii() or not token.isprintable() or len(token) < 8 or " " in token):
        raise ConfigError("The token must have at least 8 characters, all ASCII, without spaces.")
    if chosen.host not in HERE and token is None and not chosen.without_token:
        raise ConfigError(
            f"--host {chosen.host} lets other machines in. Set a token (--token, or the variable {TOKEN}), or allow anyone: --without-token"
        )
    serve(chosen.runs, chosen.host, chosen.port, token, chosen.device, chosen.options, open_page=chosen.open)
    return 0


def serve(
    runs: Sequence[Path], host: str, port: int, token: str | None, device: str, options: ServeOptions, *, open_page: bool = False
) -> None:
    """Serve runs until Ctrl-C or SIGTERM, and open the page in a browser if asked to.

    Raises:
        ConfigError: the address is taken.
        MissingExtraError: the extra is not installed.
    """
    import torch  # Here, because it is slow to import, and --help needs none.

    try:
        from vqvae.serving import process  # Here, because the extra may be missing.
        from vqvae.serving.app import build_app
        from vqvae.serving.measures import Measures
        from vqvae.serving.served import load_all
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from error
    with process.bind(host, port) as opened:
        measures, threads = Measures(), torch.get_num_threads()
        # Each thread that computes with several keeps a team of its own. While all teams together have more threads than there are cores,
        # OpenMP lets them sleep between any two steps, which more than doubles the time of a picture. So this thread has no team.
        torch.set_num_threads(1)
        with ExitStack() as at_end:
            at_end.callback(torch.set_num_threads, threads)
            models = load_all(runs, pick_device(device), options, measures.together, threads)
            for name, model in models.items():
                at_end.callback(model.close)
                measures.watch(name, model.worker.__len__)
                model.warm()
            gate = build_app(models, options, measures, token)
            where = f"[{host}]" if ":" in host else host
            url = f"http://{where}:{opened.getsockname()[1]}/"
            note(f"Serving {', '.join(models)} at {url} (Ctrl-C stops).")
            if open_page:  # In a thread: a browser in the terminal would block. Its request waits until the server answers.
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            process.log_as_json()
            process.run(gate, opened, options)
