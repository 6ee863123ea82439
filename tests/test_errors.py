"""The tree of errors."""

import pytest

from vqvae import errors


def test_one_except_clause_catches_them_all() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 7 and all(issubclass(kind, errors.VqvaeError) for kind in kinds)


@pytest.mark.parametrize(("kind", "builtin"), [(errors.ConfigError, ValueError), (errors.DataError, ValueError)])
def test_wrong_values_are_value_errors(kind: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match="why"):
        raise kind("why")


def test_damaged_files_are_no_value_errors() -> None:
    assert not issubclass(errors.CheckpointError, ValueError) and not issubclass(errors.BitstreamError, ValueError)


def test_a_missing_extra_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"'numba'.*pip install 'vqvae\[fast\]'"):
        raise errors.MissingExtraError("numba", "fast")


def test_too_little_memory_is_known_by_any_of_its_errors() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    for error in (MemoryError(), OutOfMemoryError("CUDA"), RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory")):
        assert errors.is_out_of_memory(error)
    assert not errors.is_out_of_memory(RuntimeError("the shapes differ")) and not errors.is_out_of_memory(errors.ConfigError("memory"))
