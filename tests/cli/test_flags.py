"""The flags of a command."""

from collections.abc import Sequence

import pytest

from vqvae.cli.flags import WrongUse, check_known, flag_name, flags_of, suggestions, with_switches
from vqvae.cli.train import Arguments, _default

TRAIN = list(flags_of(Arguments, _default(["images", "--data", "x"])))
NAMES = [flag.name for flag in TRAIN]


def test_flags_are_the_fields_by_their_paths() -> None:
    assert {"data", "from", "steps", "device", "data.size", "model.quantizer.codebook-size", "optimizer.learning-rate"} <= {*NAMES}
    assert not {"recipe", "config", "options", "config.steps"} & {*NAMES}
    flags = {flag.name: flag for flag in TRAIN}
    assert flags["compile"].is_switch and flags["data.classes"].off == "data.no-classes"
    assert flags["model.quantizer"].is_part and not flags["steps"].is_part


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--compile"], ["--compile"]),
        (["--compile", "True", "--steps", "3"], ["--compile", "--steps", "3"]),
        (["--compile=false"], ["--no-compile"]),
        (["--data.classes", "None"], ["--data.classes", "None"]),
        (["--data.classes=None", "--steps", "3"], ["--data.classes", "None", "--steps", "3"]),
        (["--no-compile"], ["--no-compile"]),
        (["--no-compile", "False"], ["--compile"]),
        (["--data.mirror", "false"], ["--data.no-mirror"]),
        (["--no-data.mirror"], ["--data.no-mirror"]),
        (["--data.classes"], ["--data.classes"]),
        (["--data.classes", "false"], ["--data.no-classes"]),
        (["--data.no-classes"], ["--data.no-classes"]),
        (["--skip_bad"], ["--skip-bad"]),
        (["--compile", "x.png"], ["--compile", "x.png"]),
    ],
)
def test_switches_have_one_form(given: Sequence[str], read: Sequence[str]) -> None:
    assert with_switches(given, TRAIN) == read


def test_a_switch_takes_true_or_false() -> None:
    with pytest.raises(WrongUse, match="--compile or --no-compile"):
        with_switches(["--compile=3"], TRAIN)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("lr", "optimizer.learning-rate"),
        ("epochs", "steps"),
        ("batch", "batch-size"),
        ("output", "out"),
        ("gpu", "device"),
        ("size", "data.size"),
        ("codebook-size", "model.quantizer.codebook-size"),
        ("stpes", "steps"),
        ("model.quantiser.dim", "model.quantizer.dim"),
        ("data.clases", "data.classes"),
    ],
)
def test_a_wrong_flag_names_the_right_one(wrong: str, meant: str) -> None:
    assert meant in suggestions(wrong, NAMES)
    with pytest.raises(WrongUse, match=f"--{meant}"):
        check_known([f"--{wrong}", "3"], TRAIN, "train")


def test_what_is_no_flag_passes() -> None:
    assert [flag_name(word) for word in ("-3", "-1e-3", "--", "--3", "a--b", "-", "-inf")] == [""] * 7
    assert flag_name("--a_b.c=1") == "a-b.c" and flag_name("-o") == "o"
    check_known(["images", "--steps", "-3", "--no-compile", "--help"], TRAIN, "train")
    with pytest.raises(WrongUse, match="no flag --qqqq. All flags: vqvae train --help-all"):
        check_known(["--qqqq"], TRAIN, "train")
