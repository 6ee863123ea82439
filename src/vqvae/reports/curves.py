"""The learning curves of a run, a chart per metric and stage."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from vqvae.bits import bits
from vqvae.reports.charts import Series, line_chart

_NOT_SHOWN = {"step", "stage", "seconds", "learning_rate", "examples_per_second", "waited_share", "gradient_norm"}
_TITLES = {"annealed": "weight of the cost of codes", "price": "squared distance per nat"}
"""Titles of metrics whose names explain too little."""
_SIDES = ("training", "held out")

Curves = dict[str, list[tuple[float, float]]]
"""Points of a metric by side."""


def curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """The curves as HTML, from the rows of ``metrics.jsonl``. Nats become bits.

    Metrics that never change are omitted. So is the loss, if it only repeats another metric in nats.
    """
    found: dict[str, dict[str, Curves]] = {}
    for row in rows:
        stage = found.setdefault(str(row.get("stage", "training")), {})
        for name, value in row.items():
            side = "held out" if name.startswith("held_out_") else "training"
            name = name.removeprefix("held_out_")
            if name in _NOT_SHOWN or not is_number(value) or not is_number(row.get("step")):
                continue
            if "nats_" in name:
                name, value = name.replace("nats_", "bits_"), bits(float(value))
            stage.setdefault(name, {}).setdefault(side, []).append((float(row["step"]), float(value)))
    text = ""
    for stage, names in found.items():
        charts = [
            line_chart(_TITLES.get(name, name.replace("_", " ")), [Series(side, sides[side]) for side in _SIDES if side in sides])
            for name, sides in names.items()
            if _moves(list(sides.values())) and not (name == "loss" and _is_repeated(sides, names))
        ]
        panels = "".join(f'<div class="chart">{chart}</div>' for chart in charts if chart)
        text += f'<h3>{escape(stage)}</h3><div class="charts">{panels}</div>' if panels else ""
    words = (
        "By training step. If the training curve still falls but the held-out curve does not, the model overfits. "
        "Metrics that did not change are omitted."
    )
    return f"<h2>Learning curves</h2><p>{words}</p>{text}" if text else ""


def is_number(value: Any) -> bool:
    """Whether something is a finite number and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_repeated(loss: Curves, names: Mapping[str, Curves]) -> bool:
    """Whether another metric is the loss in bits, so that both curves look the same."""
    in_bits = {side: [(step, bits(value)) for step, value in points] for side, points in loss.items()}
    return any(
        one.keys() == in_bits.keys() and all(_are_close(one[side], points) for side, points in in_bits.items())
        for name, one in names.items()
        if name != "loss"
    )


def _are_close(some: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> bool:
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(a[0] == b[0] and math.isclose(a[1], b[1], rel_tol=1e-3) for a, b in pairs)


def _moves(sides: Sequence[Sequence[tuple[float, float]]]) -> bool:
    """Whether a metric changes by more than a thousandth, or has only one point per side."""
    if all(len(points) < 2 for points in sides):
        return True
    values = [y for points in sides for _, y in points]
    return max(values) - min(values) > 1e-3 * max(map(abs, values))
