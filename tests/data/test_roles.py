import pytest

from vqvae.data.roles import Roles, roles_of
from vqvae.errors import DataError


@pytest.mark.parametrize(
    ("names", "key", "expected"),
    [
        (["x"], None, Roles("x", None, None, None)),
        (["anything"], None, Roles("anything", None, None, None)),
        (["x", "y"], None, Roles("x", None, "y", None)),
        (["x", "labels", "x_test", "y_test"], None, Roles("x", "x_test", "labels", "y_test")),
        (["X_train", "Y_train", "X_val", "Y_val", "X_test"], None, Roles("X_train", "X_val", "Y_train", "Y_val", ("X_test",))),
        (["train", "test"], None, Roles("train", "test", None, None)),
        (["a", "b"], "b", Roles("b", None, None, None, ("a",))),
    ],
)
def test_names_tell_what_an_array_is_for(names, key, expected):
    assert roles_of(names, key, "a.npz") == expected


@pytest.mark.parametrize(("names", "key"), [(["a", "b"], None), (["x_train"], None), (["x"], "z"), (["y", "labels"], None)])
def test_names_that_do_not_tell_are_listed(names, key):
    with pytest.raises(DataError, match="a.npz has"):
        roles_of(names, key, "a.npz")
