"""Configurations to and from JSON."""

import json
import subprocess
import sys
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqvae import config
from vqvae.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Small:
    size: int
    rate: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Other:
    name: str


@dataclass(frozen=True, kw_only=True)
class Whole:
    part: Small | Other
    mode: Literal["fast", "slow"] = "fast"
    widths: tuple[int, ...] = (1, 2)
    betas: tuple[float, float] = (0.9, 0.999)
    label: str | None = None
    nested: Small | None = None
    deep: tuple[Small | Other, ...] = ()
    on: bool = False
    noted: Annotated[int, "a note"] = 1
    made: Small = field(default_factory=lambda: Small(size=3))


integers = st.integers(-config.LARGEST_INT, config.LARGEST_INT)
floats = st.floats(allow_nan=False, allow_infinity=False)
smalls = st.builds(Small, size=integers, rate=floats)
others = st.builds(Other, name=st.text())
wholes = st.builds(
    Whole,
    part=smalls | others,
    mode=st.sampled_from(["fast", "slow"]),
    widths=st.lists(integers).map(tuple),
    betas=st.tuples(floats, floats),
    label=st.none() | st.text(),
    nested=st.none() | smalls,
    deep=st.lists(smalls | others, max_size=3).map(tuple),
    on=st.booleans(),
    noted=integers,
    made=smalls,
)


@given(wholes)
def test_every_configuration_comes_back(whole: Whole) -> None:
    assert config.from_json(Whole, json.loads(config.dumps(whole))) == whole
    assert config.from_json(Whole | Small, json.loads(config.dumps(whole))) == whole


def test_every_configuration_carries_its_kind() -> None:
    data = config.to_json(Whole(part=Other(name="x")))
    assert (data["kind"], data["part"], data["made"]) == (
        "Whole",
        {"kind": "Other", "name": "x"},
        {"kind": "Small", "size": 3, "rate": 0.5},
    )
    assert config.dumps(Small(size=1)).endswith("}\n")


def test_defaults_may_be_left_out_and_whole_numbers_are_numbers() -> None:
    read = config.from_json(Whole, {"part": {"kind": "Small", "size": 2, "rate": 1}})
    assert read == Whole(part=Small(size=2, rate=1.0)) and type(read.part.rate) is float


PART = {"kind": "Small", "size": 2}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"part": PART, "widhts": []}, r"config \(Whole\) has no field 'widhts'.*Did you mean 'widths'"),
        ({"part": {"kind": "Small", "sise": 1}}, r"config.part \(Small\) has no field 'sise'; it has \['size', 'rate'\]"),
        ({}, r"config \(Whole\) lacks the fields \['part'\]"),
        ({"part": {"kind": "Large"}}, r"config.part.kind is 'Large'; it must be one of \['Other', 'Small'\]"),
        ({"part": {"size": 2}}, "config.part.kind is None"),
        ({"part": 3}, "config.part is 3"),
        ({"part": {**PART, "size": "2"}}, "config.part.size is '2'; it must be of type int"),
        ({"part": {**PART, "size": True}}, "config.part.size is True"),
        ({"part": {**PART, "size": 2.5}}, "config.part.size is 2.5"),
        ({"part": {**PART, "rate": True}}, "config.part.rate is True"),
        ({"part": PART, "mode": "quick"}, r"config.mode is 'quick'; it must be one of \['fast', 'slow'\]"),
        ({"part": PART, "betas": [1.0]}, "config.betas has 1 entries; it must have 2"),
        ({"part": PART, "widths": 4}, "config.widths is 4; it must be a list"),
        ({"part": PART, "widths": [1, "x"]}, r"config.widths\[1\] is 'x'"),
        ({"part": PART, "deep": [PART, {"kind": "Small"}]}, r"config.deep\[1\] \(Small\) lacks"),
        ({"part": PART, "label": 3}, "config.label is 3; it must be one of"),
        ({"part": PART, "made": None}, "config.made is None; it must be an object with the fields of Small"),
        ({"part": PART, "made": {"kind": "Other", "name": "x"}}, "config.made.kind is 'Other'; it must be 'Small'"),
        ({"part": PART, "nested": {"kind": "Other", "name": "x"}}, r"config.nested.kind is 'Other'; it must be one of \['Small'\]"),
        ([], "config is .*; it must be an object"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(data: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.from_json(Whole, data)


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot contain a set"):
        config.to_json({1, 2})


def test_differences_are_listed_by_field() -> None:
    old = config.to_json(Whole(part=Small(size=1)))
    new = config.to_json(Whole(part=Small(size=2), widths=(1, 3), label="x"))
    assert config.differences(old, new) == [
        "config.part.size: 1 -> 2",
        "config.widths: [1, 2] -> [1, 3]",
        "config.label: None -> 'x'",
    ]
    assert config.differences(old, old) == []
    assert config.differences({"a": 1}, {"b": 2}) == ["config.a: 1 -> None", "config.b: None -> 2"]


def test_a_stored_tree_is_completed_by_defaults_and_left_alone_where_it_cannot_be_read() -> None:
    whole = config.to_json(Whole(part=Small(size=1)))
    assert config.completed(Whole, {name: value for name, value in whole.items() if name != "label"}) == whole
    assert config.completed(Whole, {**whole, "gone": 1}) == {**whole, "gone": 1}


def test_two_parts_of_one_name_are_refused() -> None:
    one, other = (make_dataclass("Own", [], frozen=True) for _ in range(2))
    with pytest.raises(ConfigError, match="Two configurations are called Own"):
        config.from_json(config.Foreign | None, {"kind": "Own"}, parts=[one, other])
    assert config.from_json(config.Foreign | None, {"kind": "Own"}, parts=[one, one]) == one()


@pytest.mark.parametrize("parts", ["complex", "[1j]"])
def test_parts_are_a_list_of_classes(parts: str) -> None:
    # In a process of its own: here the tests' check of types would come first.
    code = f"from vqvae import config; config.from_json(config.Foreign | None, {{'kind': 'complex'}}, parts={parts})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "ConfigError: parts is" in done.stderr and "parts=[MyConfig]" in done.stderr


@config.settings
class Checked:
    """As every configuration of the package is declared."""

    part: Small | config.Foreign | None = None
    mode: Literal["fast", "slow"] = "fast"
    power: Literal[1, 2] = 1
    widths: tuple[int, ...] = (1, 2)
    betas: tuple[float, float] = (0.9, 0.999)
    rate: float | None = None
    on: bool = False
    size: int = 1

    def __post_init__(self) -> None:
        config.check_at_least(1, self, "size")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "fsat"),
        ("mode", ""),
        ("mode", None),
        ("power", True),
        ("power", 3),
        ("widths", (1, 2.5)),
        ("widths", 3),
        ("betas", (0.9,)),
        ("betas", (0.9, float("nan"))),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "0.5"),
        ("rate", True),
        ("on", 1),
        ("size", 1.0),
        ("size", True),
        ("size", None),
        ("part", 3),
        ("part", Small),
    ],
)
def test_a_wrong_value_is_refused_in_python_and_in_json_alike(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"Checked\.{field}"):
        Checked(**{field: value})
    with pytest.raises(ConfigError, match=rf"config\.{field}|Checked\.{field}"):
        config.from_json(Checked, {"kind": "Checked", field: value})


def test_the_own_checks_of_a_configuration_run_after_the_shared_one() -> None:
    with pytest.raises(ConfigError, match=r"Checked\.size is 0; it must be at least 1"):
        Checked(size=0)


def test_numbers_and_sequences_become_those_of_the_annotation() -> None:
    made = Checked(widths=[np.int64(3), 4], betas=(0, np.float32(0.5)), rate=1, size=np.int32(2))  # type: ignore[arg-type]
    assert made == Checked(widths=(3, 4), betas=(0.0, 0.5), rate=1.0, size=2)
    assert type(made.size) is int and type(made.rate) is float and type(made.betas[0]) is float
    assert config.from_json(Checked, config.to_json(made)) == made


def test_every_configuration_of_the_package_checks_its_values() -> None:
    import vqvae

    named = [getattr(vqvae, name) for name in vqvae.__all__ if name.endswith("Config")]
    public = [kind for kind in named if isinstance(kind, type)]
    assert [kind for kind in public if not kind.__post_init__.__qualname__.startswith("settings.")] == []


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a": ' * 100 + "1" + "}" * 100, '{"a": 1, "a": 2}', '["\\ud800"]', '{"\\ud800": 1}', "1" * 5000, "{", ""]
)
def test_hostile_json_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^here .{1,200}$"):
        config.loads(text, "here")


def test_json_of_any_ordinary_kind_is_parsed() -> None:
    assert config.loads('{"a": [1, null, true, "é"], "b": {"c": NaN}}')["a"] == [1, None, True, "é"]


@pytest.mark.parametrize("value", [10**30, -(10**400), 2**63])
def test_numbers_beyond_63_bits_are_refused(value: int) -> None:
    for field_name in ("size", "rate"):
        with pytest.raises(ConfigError, match=rf"^config\.{field_name} is .{{1,80}}; it must be a number of at most 63 bits\.$"):
            config.from_json(Small, {"size": 3, field_name: value})


@pytest.mark.parametrize("kind", [[], {}, 3, None, ["Small"]])
def test_a_kind_that_is_no_name_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"config\.part\.kind is"):
        config.from_json(Whole, {"part": {"kind": kind}})


def test_data_that_is_nested_without_end_is_refused() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"inner": data}
    with pytest.raises(ConfigError):
        config.from_json(Whole, {"part": data})


def test_a_choice_has_the_type_of_its_choices() -> None:
    with pytest.raises(ConfigError, match=r"config is True; it must be one of \[1, 2\]"):
        config.from_json(Literal[1, 2], True)


def test_long_values_are_cut_in_messages() -> None:
    assert config.shown("x" * 1000) == "'" + "x" * 58 + "…"
    assert config.shown(10**5000) == "a huge int"


@config.settings
class Counted:
    size: int = 1
    sizes: tuple[int, ...] = ()
    level: int | None = field(default=None, metadata={"bounds": (-2, 2)})
    seed: int = field(default=0, metadata=config.SEED)


@pytest.mark.parametrize(
    "values", [{"size": -1}, {"size": 2**31}, {"sizes": (1, -1)}, {"sizes": (2**40,)}, {"level": 3}, {"level": -3}, {"seed": 2**63}]
)
def test_every_integer_has_a_lower_and_an_upper_bound(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"Counted\.{next(iter(values))}.* (it must lie between|at most 63 bits)"):
        Counted(**values)
    with pytest.raises(ConfigError):
        config.from_json(Counted, {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()})


def test_bounds_of_settings_can_be_chosen() -> None:
    made = Counted(size=0, sizes=(2**31 - 1,), level=-2, seed=-(2**62))
    assert (made.size, made.level, made.seed) == (0, -2, -(2**62)) and Counted(level=None).level is None
