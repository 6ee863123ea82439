"""The public names of the package."""

import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import vqvae

UNIONS = (
    ("data", "DataConfig"),
    ("quantizers", "QuantizerConfig"),
    ("likelihoods", "LikelihoodConfig"),
    ("networks", "EncoderConfig"),
    ("networks", "DecoderConfig"),
    ("models", "ModelConfig"),
    ("priors", "PriorConfig"),
)
HOMES = {
    alias.name: node.module
    for node in ast.walk(ast.parse(Path(vqvae.__file__).read_text()))
    if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("vqvae.")
    for alias in node.names
}


@pytest.mark.parametrize("name", vqvae.__all__)
def test_every_name_is_what_the_type_checker_sees(name: str) -> None:
    assert getattr(vqvae, name) is getattr(importlib.import_module(HOMES[name]), name)


def test_names_are_complete_and_without_repeats() -> None:
    assert sorted(vqvae.__all__) == sorted(HOMES)
    assert dir(vqvae) == sorted([*vqvae.__all__, "__version__"])


@pytest.mark.parametrize(("folder", "name"), UNIONS)
def test_every_config_of_a_union_is_exported(folder: str, name: str) -> None:
    union = getattr(importlib.import_module(f"vqvae.{folder}"), name)
    # A Union of one class is that class.
    for config in typing.get_args(union) or (union,):
        assert getattr(vqvae, config.__name__) is config
        assert config.__name__.endswith("Config")
    assert getattr(vqvae, name) is union


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in UNIONS}))
def test_every_abstract_type_is_exported(folder: str) -> None:
    base = importlib.import_module(f"vqvae.{folder}.base")
    abstract = [value for _, value in inspect.getmembers(base, inspect.isabstract) if value.__module__ == base.__name__]
    assert abstract
    for value in abstract:
        assert getattr(vqvae, value.__name__) is value


@pytest.mark.parametrize("folder", ["quantizers", "likelihoods", "networks", "models", "priors"])
def test_all_that_a_folder_of_parts_exports_is_exported(folder: str) -> None:
    assert set(importlib.import_module(f"vqvae.{folder}").__all__) <= set(vqvae.__all__)


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, vqvae; dir(vqvae); vqvae.__version__; vqvae.VqvaeError; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error_that_names_a_near_one() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'VectorQuantiser'. Did you mean 'VectorQuantizer'"):
        vqvae.VectorQuantiser  # noqa: B018
    assert not hasattr(vqvae, "qqq")


def test_the_version_is_that_of_the_distribution() -> None:
    assert vqvae.__version__ == importlib.metadata.version("vqvae")
