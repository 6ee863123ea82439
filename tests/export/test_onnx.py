"""ONNX files, without converting any: what is converted is tested in test_files.py."""

import sys

import pytest

from vqvae.errors import MissingExtraError
from vqvae.export.onnx import check_onnx


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_onnx()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"vqvae\[onnx\]"):
        check_onnx()
