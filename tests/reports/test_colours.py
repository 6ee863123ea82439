"""Colours of numbers and codes."""

import numpy as np

from vqvae.reports.colours import code_colours, heat


def test_heat_grows_lighter() -> None:
    colours = heat(np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0])).astype(int).sum(-1)
    assert colours[0] == colours[1] == 0 and colours[-1] == colours[-2] and (np.diff(colours[1:-1]) > 0).all()


def test_codes_have_colours_of_their_own() -> None:
    colours = code_colours(np.arange(512).reshape(2, 256), 512)
    assert colours.shape == (2, 256, 3) and len(np.unique(colours.reshape(-1, 3), axis=0)) > 480
