"""What is said about a run."""

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import processes
from vqvae import distributed
from vqvae.errors import CheckpointError
from vqvae.training import logging
from vqvae.training.logging import Log, Meter, drop_rows, read_rows


def write(path: Path, *rows: object) -> None:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def test_a_meter_gives_weighted_means_and_starts_anew() -> None:
    meter = Meter()
    meter.add({"loss": torch.tensor(1.0), "odd": torch.tensor(5)}, weight=3)
    meter.add({"loss": torch.tensor(5.0)}, weight=1)
    meter.add({"loss": torch.tensor(float("nan"))}, weight=0)
    assert meter.take() == {"loss": 2.0, "odd": 5.0}
    assert meter.take() == {}


def test_a_meter_keeps_no_graph() -> None:
    meter = Meter()
    meter.add({"loss": torch.ones((), requires_grad=True) * 2})
    assert not any(value.requires_grad for value in meter._sums.values())


def measure() -> torch.Tensor:
    meter = Meter()
    meter.add({"loss": torch.tensor(float(distributed.rank()))}, weight=1 + 2 * distributed.rank())
    return torch.tensor(meter.take()["loss"])


def test_a_meter_takes_means_over_processes(tmp_path: Path) -> None:
    assert [value.item() for value in processes.run(measure, tmp_path)] == [0.75, 0.75]


def test_rows_that_a_killed_process_left_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    early, late, other = {"step": 10, "stage": "prior"}, {"step": 11, "stage": "prior"}, {"step": 99, "stage": "tokenizer"}
    write(path, other, early, late, '{"step": 12, "sta')
    drop_rows(path, "prior", 10)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [other, early]
    drop_rows(path, "prior", 0)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [other]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
    drop_rows(tmp_path / "none.jsonl", "prior", 0)


def test_lines_that_were_not_written_here_stay(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    theirs = '{"epoch": 3}\nnotes of somebody'
    path.write_text(theirs)
    drop_rows(path, "prior", 0)
    assert path.read_text() == theirs + "\n"


@pytest.mark.parametrize("half", ["{", '{"step": 1', '{"step": 12, "stage": "pri', '{"step": 12, "stage": "prior"'])
def test_half_a_row_at_the_end_is_dropped_and_not_read(tmp_path: Path, half: str) -> None:
    path, whole = tmp_path / "metrics.jsonl", {"step": 10, "stage": "prior", "seconds": 1.5}
    path.write_text(json.dumps(whole) + "\n" + half)
    assert read_rows(path) == [whole]
    drop_rows(path, "prior", 10)
    assert path.read_text() == json.dumps(whole) + "\n"


def test_a_row_without_its_end_of_line_is_not_glued_to_the_next(tmp_path: Path) -> None:
    path, row = tmp_path / "metrics.jsonl", {"step": 10, "stage": "prior"}
    path.write_text(json.dumps(row))
    drop_rows(path, "prior", 10)
    assert path.read_text() == json.dumps(row) + "\n"
    assert read_rows(path) == [row] and read_rows(tmp_path / "none") == []


@pytest.mark.parametrize("stream", ["closed", "broken"])
def test_messages_need_no_reader(tmp_path: Path, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", None if stream == "closed" else Broken())
    log = Log(tmp_path, "prior", step=4, steps=20, quiet=False)
    log.row(8, {"loss": 0.25})
    log.say("a word")
    log.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [{"step": 8, "stage": "prior", "loss": 0.25}]


def test_rows_go_to_a_file_to_stderr_and_to_tensorboard(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = Log(tmp_path, "prior", step=4, steps=20, quiet=False, settings='{\n  "steps": 20\n}\n')
    log.row(8, {"loss": 0.25, "seconds": 3.0})
    log.picture(8, "grid", np.zeros((4, 6, 3), np.uint8))
    log.say("a word")
    log.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 8, "stage": "prior", "loss": 0.25, "seconds": 3.0}
    out, err = capsys.readouterr()
    assert out == "" and err == "prior  step 8/20  loss 0.25\nprior  a word\n"
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard" / "prior")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(8, 0.25)]
    assert [event.step for event in events.Images("grid")] == [8]
    assert b'  "steps": 20' in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]


def test_a_terminal_gets_a_bar(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    log = Log(tmp_path, "prior", step=4, steps=20, quiet=False)
    log.advance(7)
    log.say("[a word]")
    log.row(8, {"loss": 0.25, "psnr": 24.125, "codes_used": 0.5, "examples_per_second": 812.3})
    log.row(8, {"held_out_loss": 0.5})
    log.close()
    out, err = capsys.readouterr()
    assert out == "" and "8/20" in err and "PSNR 24.12 dB  codes used 50.0 %  812.3 examples/s" in err
    assert "[a word]" in err and "step 8/20" in err and "held out:  loss 0.5" in err


def test_without_tensorboard_all_the_rest_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = Log(tmp_path, "prior", step=0, steps=20, quiet=False)
    log.row(8, {"loss": 0.25})
    log.picture(8, "grid", np.zeros((4, 6, 3), np.uint8))
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_other_processes_are_quiet(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    log = Log(tmp_path, "prior", step=0, steps=20, quiet=True)
    log.row(8, {"loss": 0.25})
    log.say("a word")
    log.advance(9)
    log.close()
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "_tensorboard", lambda folder, step: None)
    log = Log(tmp_path, "prior", step=0, steps=20, quiet=False)
    (tmp_path / "metrics.jsonl").mkdir()
    for step in (8, 9):
        log.row(step, {"loss": 0.25})
    said = capsys.readouterr().err
    assert said.count("metrics.jsonl cannot be written") == 1 and "step 9/20" in said, "a log does not end a training"
    with pytest.raises(CheckpointError, match="metrics.jsonl cannot be read"):
        Log(tmp_path, "prior", step=0, steps=20, quiet=False)


def test_a_line_has_units_and_fits_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(tmp_path, "tokenizer", step=0, steps=100_000, quiet=False)
    values = {"nats_per_dim": math.log(2), "loss": 1.5, "codes_used": 0.5, "perplexity": 12.0, "seconds": 3.0, "gradient_norm": 1.0}
    log.row(50_000, values)
    log.row(50_001, {f"held_out_{name}": value for name, value in values.items()})
    log.row(50_002, {f"a_long_name_of_a_scalar_{number}": 1.0 for number in range(20)})
    log.close()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "tokenizer  step 50000/100000  loss 1.5  1.000 bits/dim  codes used 50.0 %  perplexity 12.0 codes"
    assert second == "tokenizer  step 50001/100000  held out:  loss 1.5  1.000 bits/dim  codes used 50.0 %  perplexity 12.0 codes"
    assert third.startswith("tokenizer  step 50002/100000  a_long_name_of_a_scalar_0 1  ") and len(third) <= 120
