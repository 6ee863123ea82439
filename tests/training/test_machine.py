"""What the machine offers."""

import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from vqvae.errors import ConfigError
from vqvae.training.machine import check_compiler, lay_out, pick_dtype


def test_a_missing_compiler_is_named_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/clang++" if name == "clang++" else None)
    check_compiler()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler.*apt-get install g\+\+"):
        check_compiler()


@pytest.mark.parametrize(("amx", "avx", "dtype"), [(0, 0, "float32"), (1, 0, "bfloat16"), (0, 1, "bfloat16")])
def test_auto_follows_the_hardware(monkeypatch: pytest.MonkeyPatch, amx: int, avx: int, dtype: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx))
    assert pick_dtype("auto", torch.device("cpu")) == getattr(torch, dtype)
    assert pick_dtype("float32", torch.device("cpu")) == torch.float32
    assert pick_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16


def test_auto_asks_the_real_machine() -> None:
    with open("/proc/cpuinfo") as file:
        flags = file.read().split()
    expected = torch.bfloat16 if {"amx_tile", "avx512_bf16"} & set(flags) else torch.float32
    assert pick_dtype("auto", torch.device("cpu")) == expected


def test_auto_is_float32_on_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert pick_dtype("auto", torch.device("cuda")) == torch.float32


def test_filters_move_to_channels_last_for_bfloat16() -> None:
    module = nn.Conv2d(3, 4, 3)
    assert lay_out(module, torch.float32).weight.is_contiguous()
    assert lay_out(module, torch.bfloat16).weight.is_contiguous(memory_format=torch.channels_last)


def test_filters_of_clips_stay_as_they_are() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(4, 4, 3))
    of_images, of_clips = (layer.weight for layer in lay_out(module, torch.bfloat16))
    assert of_images.is_contiguous(memory_format=torch.channels_last) and of_clips.is_contiguous()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep or give back as they please")
def test_freed_memory_is_kept() -> None:
    script = """
import numpy, sys
from vqvae.training.machine import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
block = numpy.ones(2**26)
del block
pages = int(open("/proc/self/statm").read().split()[1])
print(pages * 4096)
"""
    resident = {
        how: int(subprocess.run([sys.executable, "-c", script, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "default")
    }
    assert resident["keep"] > resident["default"] + 2**28
