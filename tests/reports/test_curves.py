"""Which learning curves are drawn."""

from vqvae.reports.curves import curves


def test_what_does_not_move_is_left_out() -> None:
    rows = [{"step": step, "stage": "prior", "still": 2.0, "moving": float(step)} for step in (1, 2, 3)]
    text = curves(rows)
    assert "moving by step" in text and "still by step" not in text
    assert curves([{"step": 1, "stage": "prior", "words": "none", "flag": True}]) == ""


def test_a_single_point_is_a_dot() -> None:
    text = curves([{"step": 1, "stage": "prior", "loss": 2.0}])
    assert "<circle" in text and "<polyline" not in text


def test_a_loss_that_is_another_metric_is_not_drawn_twice() -> None:
    same = [{"step": step, "stage": "prior", "loss": 3.0 / step, "nats_per_code": 3.0 / step} for step in (1, 2, 3)]
    text = curves(same)
    assert "bits per code" in text and "<figcaption>loss" not in text
    other = [{**row, "nats_per_code": 2.0 * row["loss"]} for row in same]
    assert "<figcaption>loss" in curves(other)
