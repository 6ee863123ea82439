"""What clients send as JSON."""

import pytest
from pydantic import ValidationError

from vqvae.serving.bodies import DecodeBody, ImagineBody, SampleBody


@pytest.mark.parametrize(
    "given",
    [
        {"count": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 1.01},
        {"seed": 2**63},
        {"format": "exe"},
        {"no such": 1},
        {"codes": {"levels": []}},
    ],
)
def test_numbers_out_of_range_and_unknown_names_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SampleBody.model_validate(given)


def test_what_is_left_out_has_the_usual_value() -> None:
    found = SampleBody.model_validate({})
    assert (found.count, found.seed, found.temperature, found.top_k, found.stream) == (1, 0, 1.0, None, False)
    assert ImagineBody.model_validate({"actions": ["left", 1]}).actions == ["left", 1]


def test_codes_have_a_shape_and_data() -> None:
    codes = {"levels": [{"shape": [1, 2, 2], "data": [0, 1, 2, -1]}]}
    assert DecodeBody.model_validate({"codes": codes, "size": [8, 8]}).codes.levels[0].data == [0, 1, 2, -1]
    with pytest.raises(ValidationError, match="greater than or equal to -1"):
        DecodeBody.model_validate({"codes": {"levels": [{"shape": [1], "data": [-2]}]}})
