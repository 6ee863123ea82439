"""Rows are counted, and the record of a shard can be read back."""

import numpy as np
import pytest

from vqvae.data.records.base import BadRecord
from vqvae.tokenization.rows import Outcome, Row, Tally, code_types, joint_shapes


def row(number, *shape):
    return Row(number, str(number), (np.zeros(shape, np.uint8),), (8, 8), None, None)


def test_a_tally_knows_shapes_and_bad_items():
    bad = BadRecord("x", "bad")
    for rows, shapes in (([row(0, 1, 4), row(1, 1, 4)], ((1, 4),)), ([row(0, 1, 4), row(1, 2, 2), row(2, 1, 4)], None), ([], ())):
        tally = Tally()
        assert list(tally.over(iter([bad, *rows, bad]))) == rows
        assert tally.outcome == Outcome(len(rows), shapes, (bad, bad))


def test_an_outcome_belongs_to_a_plan_and_a_shard(make_job):
    plan, other = make_job().plan, make_job(shard_size=7).plan
    for outcome in (Outcome(2, ((1, 4, 4),), (BadRecord("ü", "e"),)), Outcome(2, None, ()), Outcome(0, (), ())):
        text = outcome.to_text(plan, 3)
        assert Outcome.from_text(text, plan, 3) == outcome
        assert Outcome.from_text(text, plan, 2) is None and Outcome.from_text(text, other, 3) is None
    for damaged in (text[:-1], "[]", "null", text.replace('"bad"', '"worse"'), text.replace("[]", "3")):
        assert Outcome.from_text(damaged, plan, 3) is None


@pytest.mark.parametrize(
    ("shapes", "joint"),
    [([((1, 4),), ((1, 4),)], ((1, 4),)), ([((1, 4),), ((2, 2),)], None), ([((1, 4),), None], None), ([None, None], None), ([], None)],
)
def test_shards_without_items_do_not_count(shapes, joint):
    assert joint_shapes([Outcome(0, (), ()), *(Outcome(1, one, ()) for one in shapes)]) == joint


def test_codes_take_the_smallest_type(make_job):
    assert code_types(make_job().plan) == [np.dtype("u1")]
