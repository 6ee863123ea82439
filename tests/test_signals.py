"""What data is: types and ranges that are taken and refused, and the scale from -1 to 1."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vqvae.errors import ConfigError, DataError
from vqvae.signals import AXES, Signal, described, pictures, sound

LEVELS = [2, 3, 16, 255, 256, 257, 65_536]


def line(channels: int = 1, **settings: float | int) -> Signal:
    return Signal(axes=("step",), channels=channels, **settings)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"channels": 0}, "channels must be at least 1"),
        ({"axes": ("time", "time")}, "axes need different names"),
        ({"levels": 1}, "levels is 1; it must lie between 2 and 2147483648"),
        ({"levels": 2**31 + 1}, "levels is 2147483649"),
        ({"low": 0.0}, "low is 0.0 and high is None; give both"),
        ({"high": 0.0}, "low is None and high is 0.0"),
        ({"low": 1.0, "high": 1.0}, "low below high"),
        ({"low": math.nan, "high": 1.0}, "low is nan; it must be a finite number"),
        ({"levels": 4, "low": 0.0, "high": 1.0}, "both levels and a range"),
        ({"sample_rate": 0.0}, "sample_rate is 0.0; it must be positive"),
        ({"axes": ("height",), "sample_rate": 8000.0}, "one of the axes must be 'time'"),
    ],
)
def test_what_is_no_signal_is_refused(settings: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Signal(**{"axes": ("time",), "channels": 1, **settings})


def test_types_follow_from_the_levels() -> None:
    found = [line(levels=levels).dtype for levels in (2, 256, 257, 2**31)]
    assert found == [torch.uint8, torch.uint8, torch.int32, torch.int32]
    assert line().dtype == sound().dtype == torch.float32
    assert [len(axes) for axes in AXES.values()] == list(AXES)


@pytest.mark.parametrize("levels", LEVELS)
def test_levels_are_taken_in_their_type_and_as_int64(levels: int) -> None:
    signal = line(levels=levels)
    ends = torch.tensor([[[0, levels - 1]]])
    for dtype in (signal.dtype, torch.int64):
        x = ends.to(dtype)
        assert signal.check(x) is x
    wrong = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool, torch.float32} - {signal.dtype}
    for dtype in wrong:
        with pytest.raises(DataError, match=f"{dtype} with values .*; expected {signal.dtype} with levels from 0 to {levels - 1}, .*raw"):
            signal.check(torch.zeros(1, 1, 2).to(dtype))
    for value in (-1, levels):
        with pytest.raises(DataError, match=f"values from .*; expected {signal.dtype} with levels from 0 to {levels - 1}"):
            signal.check(torch.tensor([[[0, value]]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_up_to_the_ends_of_their_range_are_taken(dtype: torch.dtype) -> None:
    # Neither 0.1 nor 0.7 is a number of any of these types: as data they may lie a little beyond.
    for low, high in ((-1.0, 1.0), (-0.1, 0.1), (0.7, 1e3)):
        signal = line(low=low, high=high)
        ends = torch.tensor([[[low, high]]], dtype=dtype)
        assert signal.check(ends) is ends
        signal.check(signal.from_unit(torch.tensor([[[-1.0, 1.0]]], dtype=dtype)))
        for beyond in (low - 0.05, high * 1.05):
            with pytest.raises(DataError, match="expected finite floats in .* Scale or clip it"):
                signal.check(torch.tensor([[[low, beyond]]], dtype=dtype))
    line().check(torch.tensor([[[-6e4, 6e4]]], dtype=dtype))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("signal", [line(), line(low=-1.0, high=1.0)], ids=["unbounded", "bounded"])
def test_what_is_not_finite_is_refused(signal: Signal, value: float) -> None:
    with pytest.raises(DataError, match="expected finite floats"):
        signal.check(torch.tensor([[[0.0, value]]]))
    with pytest.raises(DataError, match="expected finite floats"):
        signal.check(torch.tensor([[[value, value]]]))


@pytest.mark.parametrize(
    ("signal", "x", "match"),
    [
        (sound(), [0.0], r"came as list; a tensor is expected, \(batch, 1, time\). Make one with torch.as_tensor"),
        (sound(), torch.full((1, 1, 2), 20_000, dtype=torch.int16), "int16 with values from 20000 to 20000; .*Divide it by 32768"),
        (sound(), torch.zeros(1, 1, 2, dtype=torch.int32), "Divide it by 2147483648"),
        (sound(), torch.zeros(1, 1, 2, dtype=torch.uint8), "Subtract 128"),
        (sound(), torch.zeros(1, 1, 2, dtype=torch.int64), "Convert it to floats"),
        (sound(), torch.zeros(1, 1, 2, dtype=torch.bool), "torch.bool with values from 0 to 0"),
        (sound(), torch.zeros(1, 2, 9), r"shape \(1, 2, 9\); expected \(batch, 1, time\). Take the mean of the channels"),
        (sound(), torch.zeros(1, 9, 1), "Channels come second: x.movedim"),
        (sound(), torch.zeros(1, 9), r"shape \(1, 9\); .* Add the missing axis"),
        (sound(), torch.zeros(1, 1, 1, 9), "remove the extra one"),
        (pictures(), torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "Channels come second"),
        (pictures(), torch.zeros(2, 1, 8, 8, dtype=torch.uint8), r"expected \(batch, 3, height, width\). Give it that many channels"),
        (pictures(), torch.zeros(2, 3, 8, 8), "with levels from 0 to 255, .* Give the data raw, not scaled"),
        (pictures(), torch.zeros(0, 3, 8, 8), "torch.float32 without values"),
    ],
)
def test_messages_say_what_came_what_was_expected_and_what_to_do(signal: Signal, x: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        signal.check(x)


def test_nothing_is_data_too_and_needs_no_values() -> None:
    for signal in (sound(), pictures(), pictures(levels=65_536)):
        empty = torch.zeros(0, signal.channels, *[4] * len(signal.axes), dtype=signal.dtype)
        assert signal.check(empty) is empty


@pytest.mark.parametrize("levels", LEVELS)
def test_all_levels_survive_the_way_to_unit_and_back(levels: int) -> None:
    signal = line(levels=levels)
    x = torch.arange(levels).to(signal.dtype)
    unit = signal.to_unit(x)
    assert unit.dtype == torch.float32 and (float(unit[0]), float(unit[-1])) == (-1, 1)
    torch.testing.assert_close(unit.double(), torch.linspace(-1, 1, levels, dtype=torch.float64), rtol=0, atol=1e-7)
    back = signal.from_unit(unit)
    assert back.dtype == signal.dtype and torch.equal(back, x)
    assert torch.equal(signal.from_unit(signal.to_unit(x.long())), x), "int64 is levels, too"
    assert torch.equal(x, torch.arange(levels).to(signal.dtype)), "the data stays as it is"


@pytest.mark.parametrize("levels", [256, 65_536, 2**31])
def test_what_lies_beyond_the_range_is_moved_to_its_end(levels: int) -> None:
    found = line(levels=levels).from_unit(torch.tensor([-math.inf, -1.5, 1.0, 1.5, math.inf]))
    assert found.tolist() == [0, 0, levels - 1, levels - 1, levels - 1]
    bounded = line(low=-0.5, high=2.0).from_unit(torch.tensor([-1.5, 1.5]))
    assert bounded.tolist() == [-0.5, 2]
    assert line().from_unit(torch.tensor([-1.5, 1.5])).tolist() == [-1.5, 1.5]


def test_floats_with_bounds_go_from_minus_one_to_one_and_others_stay() -> None:
    signal, x = line(low=-0.5, high=2.0), torch.tensor([-0.5, 0.75, 2.0])
    assert signal.to_unit(x).tolist() == [-1, 0, 1]
    torch.testing.assert_close(signal.from_unit(signal.to_unit(x)), x)
    for same in (line(), sound()):
        assert torch.equal(same.to_unit(x), x)
    assert x.tolist() == [-0.5, 0.75, 2.0], "the data stays as it is"


@pytest.mark.parametrize("signal", [line(), line(low=0.0, high=2.0)], ids=["unbounded", "bounded"])
def test_half_precision_becomes_float32_and_double_stays(signal: Signal) -> None:
    assert signal.to_unit(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
    assert signal.to_unit(torch.ones(2, dtype=torch.float64)).dtype == torch.float64


def test_data_fits_what_takes_it_whatever_the_axes_are_called() -> None:
    assert sound().fits(sound(16_000)) and sound(8_000).fits(sound())
    assert sound().fits(Signal(axes=("step",), channels=1, low=-1.0, high=1.0))
    assert line().fits(sound()), "who has no bounds takes any"
    for other in (line(), line(low=0.0, high=1.0), pictures(1), Signal(axes=("time",), channels=2, low=-1.0, high=1.0)):
        assert not sound().fits(other)
    assert pictures().fits(pictures()) and not pictures().fits(pictures(levels=65_536)) and not pictures().fits(pictures(1))
    assert not pictures().fits(Signal(axes=AXES[3], channels=3, levels=256))


def test_words() -> None:
    assert sound().shape() == "(batch, 1, time)" and sound().values() == "finite floats in [-1, 1]"
    assert pictures().shape() == "(batch, 3, height, width)" and pictures().values() == "torch.uint8 with levels from 0 to 255"
    assert Signal(axes=(), channels=4).shape() == "(batch, 4)" and line().values() == "finite floats"


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.tensor([0.5, -1.0]), "torch.float32 with values from -1 to 0.5"),
        (torch.tensor([3, 200], dtype=torch.int16), "torch.int16 with values from 3 to 200"),
        (torch.tensor([0.0, math.nan]), "torch.float32 with values from nan to nan"),
        (torch.zeros(0, dtype=torch.int64), "torch.int64 without values"),
    ],
)
def test_data_is_described_by_its_type_and_range(x: Tensor, words: str) -> None:
    assert described(x) == words


def test_greys_become_colour_and_colour_becomes_grey() -> None:
    colour, grey = pictures(3), pictures(1)
    x = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = torch.stack([torch.from_numpy(np.array(Image.fromarray(one.movedim(0, -1).numpy()).convert("L"))) for one in x])[:, None]
    assert (grey.match_channels(x).int() - expected.int()).abs().max() <= 1
    assert torch.equal(colour.match_channels(x[:, :1]), x[:, :1].repeat(1, 3, 1, 1))
    assert torch.equal(grey.match_channels(colour.match_channels(x[:, :1])), x[:, :1])
    assert colour.match_channels(x) is x and colour.match_channels(x.repeat(1, 3, 1, 1)).shape[1] == 9
    clear = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
    assert bool((colour.match_channels(clear) == 255).all())
    clear[:, 3] = 255
    assert torch.equal(colour.match_channels(clear), x)


def test_stereo_becomes_mono() -> None:
    wave = torch.rand(1, 2, 8) * 2 - 1
    torch.testing.assert_close(sound().match_channels(wave), wave.mean(1, keepdim=True))


def test_a_batch_comes_from_what_users_have() -> None:
    signal = pictures(3)
    x = torch.randint(0, 256, (2, 3, 6, 5), dtype=torch.uint8)
    picture = Image.fromarray(x[0].movedim(0, -1).numpy())
    for one in (x[:1], x[0], x[0].numpy(), x[0].movedim(0, -1).numpy(), picture, [picture], x[0].long(), x[0].numpy().astype(np.uint16)):
        assert torch.equal(signal.batch(one), x[:1]) and signal.batch(one).dtype == torch.uint8
    assert signal.batch(picture.convert("P")).shape == signal.batch(picture.convert("1")).shape == (1, 3, 6, 5)
    assert signal.batch(np.zeros((6, 5), np.uint8)).shape == (1, 3, 6, 5) and len(signal.batch([])) == 0
    deep = pictures(1, 65536).batch(np.full((4, 4), 65535, np.uint16))
    assert deep.dtype == torch.int32 and int(deep.max()) == 65535


@pytest.mark.parametrize(
    "data",
    [
        None,
        "picture.png",
        3,
        [[1, 2], [3, 4]],
        np.array(["a"]),
        np.array([object()]),
        np.zeros((3, 4, 4), np.float32),
        np.zeros((3, 4, 4), np.bool_),
        np.zeros((3, 4, 4), np.complex64),
        torch.zeros(3, 4, 4, dtype=torch.complex64),
        np.full((3, 4, 4), 256, np.uint16),
        np.zeros((5, 5, 6, 7), np.uint8),
        np.uint8(3),
        torch.zeros(3, 4, 4, dtype=torch.int8) - 1,
    ],
)
def test_what_is_no_batch_is_a_data_error(data: object) -> None:
    with pytest.raises(DataError, match="came"):
        pictures(3).batch(data)


@pytest.mark.parametrize("frames", [2, 4])
def test_frames_first_are_not_an_alpha_channel(frames):
    clips = Signal(axes=("time", "height", "width"), channels=3, levels=256)
    with pytest.raises(DataError, match="expected"):
        clips.batch(torch.zeros(frames, 3, 8, 8, dtype=torch.uint8))
