"""The kinds of cases: command lines, calls from Python, run folders, files."""

import contextlib
import dataclasses
import functools
import inspect
import io
import json
import random
import re
import shutil
import typing
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import vqvae
from tests.fuzz.harness import GOLDEN, Case, run_command
from tests.fuzz.values import anything, plain, small, tensor, word
from vqvae import config as configuration
from vqvae.cli.main import COMMANDS, main
from vqvae.data import ArrayConfig, AudioFolderConfig, Batch, Condition, DataConfig, ImageFolderConfig, read_audio, read_image, write_audio
from vqvae.likelihoods import CriterionConfig
from vqvae.models import ModelConfig
from vqvae.networks import DecoderConfig, EncoderConfig
from vqvae.priors import PriorConfig
from vqvae.quantizers import QuantizerConfig
from vqvae.training import TrainConfig

LONG = {"demo", "reproduce"}
"""Commands that make data and train for long: only their arguments are tried."""


def place(folder: Path) -> None:
    """What commands find where they are called: a run, pictures, a sound, an array, settings."""
    shutil.copytree(GOLDEN / "run-images" / "run", folder / "run")
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(folder / "pictures" / f"{number}.png")
    shutil.copy(folder / "pictures" / "0.png", folder / "a.png")
    write_audio(folder / "a.wav", [rng.uniform(-1, 1, 4000).astype(np.float32)], 16_000)
    np.save(folder / "a.npy", rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8))
    stored = json.loads((folder / "run" / "tokenizer" / "config.json").read_text())["extra"]["training"]
    stored["steps"], stored["data"] = 2, {"kind": "ArrayConfig", "path": "a.npy"}
    (folder / "x.json").write_text(json.dumps(stored))


def commands(r: random.Random, folder: Path) -> str:
    """A command with flags and values of all kinds."""
    command = r.choice([*COMMANDS, "train", "sample", "reconstruct", "evaluate", "train-prior"])
    place(folder)
    first = {"train": ["x.json"], "recipes": [], "demo": [], "reproduce": ["e2"]}.get(command, ["run"])
    if r.random() < 0.2:
        first = [word(r) for _ in range(r.randint(0, 2))]
    if command in ("reconstruct", "convert") and r.random() < 0.9:
        first += [r.choice(["a.png", "a.wav", "a.npy", "pictures", word(r)]) for _ in range(r.randint(1, 2))]
    arguments = [command, *first]
    if command in ("sample", "reconstruct", "convert", "train") and r.random() < 0.9:
        arguments += ["--out", r.choice(["out", "out", "out.png", "out.npy", "run", "a.png", "pictures"])]
    for _ in range(r.randint(0, 3)):
        flag = r.choice(flags(command) or ["--help"])
        arguments += [flag] if r.random() < 0.1 else [f"{flag}={word(r)}"] if r.random() < 0.2 else [flag, word(r)]
    if command in LONG or (command == "train" and first != ["x.json"]):
        arguments += ["--no-such-flag"]
    r.tell("vqvae " + " ".join(map(repr, arguments)))
    run_command(arguments)
    return command


@functools.cache
def flags(command: str) -> list[str]:
    """All flags that the command's help names."""
    said = io.StringIO()
    first = {"train": ["x.json"], "train-prior": ["run"]}.get(command, [])
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        main([command, *first, "--help"])
    return sorted(set(re.findall(r"--[a-z][a-z0-9.-]*", said.getvalue())))


def python(r: random.Random, folder: Path) -> str:
    """A public class or function called with anything, or a part that is built and then called with anything."""
    warnings.simplefilter("ignore")
    (_configs if r.random() < 0.4 else _parts if r.random() < 0.75 else _functions)(r)
    return "python"


def _functions(r: random.Random) -> None:
    name = r.choice([name for name in vqvae.__all__ if callable(getattr(vqvae, name)) and not name.startswith(("train", "tokeni"))])
    target = getattr(vqvae, name)
    if inspect.isclass(target) and (issubclass(target, (Exception, tuple, torch.nn.Module)) or inspect.isabstract(target)):
        return
    if dataclasses.is_dataclass(target):  # Settings come from JSON and the command line: _configs.
        return
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return
    arguments = {
        one.name: anything(r)
        for one in parameters
        if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and (one.default is one.empty or r.random() < 0.3)
    }
    only = [one.name for one in parameters if one.kind == one.POSITIONAL_ONLY]
    r.tell(f"vqvae.{name}(**{_shown(arguments)})")
    target(*(anything(r) for _ in only), **arguments)


KINDS: list[Any] = [
    *typing.get_args(ModelConfig), *typing.get_args(QuantizerConfig), *typing.get_args(EncoderConfig), *typing.get_args(DecoderConfig),
    *typing.get_args(CriterionConfig), *typing.get_args(PriorConfig), *typing.get_args(DataConfig), TrainConfig,
]  # fmt: skip


def _configs(r: random.Random) -> None:
    """Settings with one or two wrong values, by keyword or by JSON, built."""
    kind = r.choice(KINDS)
    given = {
        field.name: r.choice([small(r), small(r), plain(r), (2, 2), "a"])
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    names = [field.name for field in dataclasses.fields(kind)]
    for name in r.sample(names, min(len(names), r.randint(0, 2))):
        given[name] = plain(r)
    r.tell(f"{kind.__name__}(**{_shown(given)})")
    if r.random() < 0.7:
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        config = configuration.from_json(kind, {"kind": kind.__name__, **given})
        if kind.__name__ in ("WorldsConfig", "GymConfig", "VoicesConfig", "Cifar10Config"):
            return
        if hasattr(config, "build") and not list(inspect.signature(config.build).parameters):
            config.build()


def _parts(r: random.Random) -> None:
    """A small stored part, called with anything."""
    name = r.choice(
        ["images-ema", "images-gradient", "images-product", "vae", "gumbel", "vimco", "prior-pixelcnn", "prior-wavenet", "speech-spectral"]
    )
    part = (
        vqvae.load_part(GOLDEN / name / "part")
        if hasattr(vqvae, "load_part")
        else __import__("vqvae.storage").storage.load(GOLDEN / name / "part")
    )
    part = getattr(part, "module", part)
    part.eval()
    x = r.choice([tensor(r), tensor(r), torch.zeros(2, r.choice([1, 3]), 8, 8, dtype=torch.uint8), torch.zeros(1, 1, 64)])
    labels = r.choice([None, None, torch.tensor([0, 1]), tensor(r)])
    methods = [
        one
        for one in ("forward", "encode", "decode", "bound", "log_prob", "sample", "latents", "vectors", "log_likelihood")
        if hasattr(part, one)
    ]
    method = r.choice(methods)
    given: tuple[Any, ...] = (x,) if method in ("decode", "vectors", "log_prob") else (Batch(x, Condition(label=labels)),)
    if method == "sample":
        given = (plain(r), plain(r))
    if method == "log_likelihood":
        given = (given[0], tensor(r))
    r.tell(f"{name}.{method}{_shown(given)}")
    getattr(part, method)(*given)


def runs(r: random.Random, folder: Path) -> str:
    """A run folder that is damaged or hostile, given to a command."""
    source = r.choice(["run-images", "run-images", "run-speech"])
    shutil.copytree(GOLDEN / source / "run", folder / "run")
    done = []
    for _ in range(r.randint(1, 2)):
        done.append(_damage(r, folder / "run"))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    command = r.choice(
        [["info", "run"], ["evaluate", "run"], ["sample", "run", "--out", "out", "--count", "1"],
         ["reconstruct", "run", "a.png", "--out", "out"],
         ["train-prior", "run", "--steps", "1"], ["train", "x.json", "--out", "run"]]
    )  # fmt: skip
    if command[0] == "train":
        place_settings = json.loads((GOLDEN / source / "run" / "tokenizer" / "config.json").read_text())["extra"]["training"]
        (folder / "x.json").write_text(json.dumps(place_settings))
    r.tell(f"{source}: {'; '.join(done)}; vqvae {' '.join(command)}")
    run_command(command)
    return command[0]


def _damage(r: random.Random, run: Path) -> str:
    files = sorted(path for path in run.rglob("*") if path.is_file())
    path = r.choice(files)
    if path.suffix in (".json", ".jsonl") and r.random() < 0.8:
        try:
            tree = json.loads(path.read_text().splitlines()[0] if path.suffix == ".jsonl" else path.read_text())
        except (ValueError, IndexError):
            tree = {}
        keys, value = _mutate(r, tree)
        path.write_text(json.dumps(tree) if r.random() < 0.95 else "[" * 100_000)
        return f"{path.relative_to(run)}: {'.'.join(map(str, keys))} = {_shown(value)}"
    if path.suffix == ".safetensors" and r.random() < 0.4:
        return _damage_weights(r, path, run)
    other = r.choice(files)
    how = r.choice(["remove", "empty", "swap", "cut", "flip", "folder"])
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "remove":
        path.write_bytes(
            {
                "empty": b"",
                "swap": other.read_bytes() if other != path else b"",
                "cut": content[: r.randint(0, max(len(content), 1))],
                "flip": _flipped(r, content),
            }[how]
        )
    return f"{how} {path.relative_to(run)}"


def _damage_weights(r: random.Random, path: Path, run: Path) -> str:
    try:
        tensors = load_file(path)
    except SafetensorError:  # Damaged already.
        return "nothing"
    if not tensors:
        return "nothing"
    name = r.choice(sorted(tensors))
    how = r.choice(["nan", "huge", "shape", "dtype", "missing", "extra"])
    value = tensors[name]
    if how in ("nan", "huge"):
        tensors[name] = torch.full_like(value, float("nan") if how == "nan" else 1e30) if value.is_floating_point() else value * 0 - 5
    elif how == "missing":
        del tensors[name]
    else:
        tensors[name if how != "extra" else "a"] = {"shape": torch.zeros(1, 2, 3), "dtype": value.to(torch.int8), "extra": torch.zeros(2)}[
            how
        ]
    save_file(tensors, path)
    return f"{how} {name} in {path.relative_to(run)}"


def _mutate(r: random.Random, tree: Any) -> tuple[list[Any], Any]:
    """Change one value at any depth."""
    keys: list[Any] = []
    while isinstance(tree, (dict, list)) and tree:
        key = r.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        keys.append(key)
        if not isinstance(tree[key], (dict, list)) or not tree[key] or r.random() < 0.1:
            old = tree[key]
            if isinstance(tree, dict) and r.random() < 0.1:
                del tree[key]
                return keys, "removed"
            is_number = isinstance(old, (int, float)) and r.random() < 0.5
            tree[key] = r.choice([0, -1, old * 1000, 2**31, 10**18, 1e308, -old]) if is_number else plain(r)
            return keys, tree[key]
        tree = tree[key]
    return keys, tree


def files(r: random.Random, folder: Path) -> str:
    """A picture, a sound or an array that is cut, flipped or renamed, then read in every way."""
    rng = np.random.default_rng(0)
    suffix = r.choice([".png", ".jpg", ".webp", ".bmp", ".wav", ".flac", ".npy", ".npz"])
    (folder / "many").mkdir()
    path = folder / "many" / f"a{suffix}"
    if suffix in (".wav", ".flac"):
        write_audio(path, [rng.uniform(-1, 1, 3000).astype(np.float32)], 16_000)
    elif suffix == ".npy":
        np.save(path, rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8))
    elif suffix == ".npz":
        (np.savez if r.random() < 0.5 else np.savez_compressed)(path, x=rng.integers(0, 256, (20, 8, 8), dtype=np.uint8), y=np.arange(20))
    else:
        Image.fromarray(rng.integers(0, 256, (19, 18, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    how = r.choice(["cut", "flip", "flip", "head", "tail", "rename", "empty"])
    changed = {
        "cut": content[: r.randint(0, len(content))],
        "tail": content + content[: r.randint(0, 200)],
        "empty": b"",
        "rename": content,
    }.get(how)
    if changed is None:
        changed = _flipped(r, content, 200 if how == "head" else len(content))
    if how == "rename":
        path.unlink()
        suffix = r.choice([".png", ".wav", ".npy", ".npz", ".jpg", ".flac", ".mp3", ".ogg", ".txt"])
        path = path.with_suffix(suffix)
    path.write_bytes(changed)
    if r.random() < 0.5:
        for number in range(3):
            shutil.copy(path, path.with_name(f"b{number}{suffix}"))
    readers: list[Any] = [
        lambda: read_image(path), lambda: read_audio(path, 16_000), lambda: _use(ArrayConfig(path=str(path)).build()),
        lambda: _use(ImageFolderConfig(path=str(path.parent), size=8).build()),
        lambda: _use(AudioFolderConfig(path=str(path.parent), chunk=1024, hop=64).build()),
    ]  # fmt: skip
    usual = 0 if suffix in (".png", ".jpg", ".webp", ".bmp") else 1 if suffix in (".wav", ".flac", ".mp3", ".ogg") else 2
    number = usual if r.random() < 0.5 else r.randrange(len(readers))
    r.tell(f"{how} {path.name}, reader {number}")
    warnings.simplefilter("ignore")
    readers[number]()
    return how


def _use(splits: Any) -> None:
    for side in splits:
        side.signal.check(side.batch(np.arange(min(len(side), 4))).x)


def _flipped(r: random.Random, content: bytes, within: int | None = None) -> bytes:
    changed = bytearray(content)
    for _ in range(r.choice([1, 1, 3, 20])):
        if changed:
            changed[r.randrange(min(len(changed), within or len(changed)))] = r.choice([0, 255, r.randrange(256)])
    return bytes(changed)


def _shown(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{value.dtype}{tuple(value.shape)}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(_shown, value)) + ")"
    return repr(value)[:80]


CASES: dict[str, Case] = {"commands": commands, "python": python, "runs": runs, "files": files}
