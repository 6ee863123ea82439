"""Every format that a plan may name is there."""

import typing

from vqvae.tokenization.formats import FORMATS
from vqvae.tokenization.plan import Plan


def test_every_format_of_a_plan_can_be_written():
    assert set(FORMATS) == set(typing.get_args(typing.get_type_hints(Plan)["format"]))
