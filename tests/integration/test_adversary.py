"""Runs with an adversary among the criteria: two optimizers in one loop and one checkpoint."""

import dataclasses
import json
import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training import adversary, tiny
from tests.training.adversary import ToyAdversary, ToyAdversaryConfig
from tests.training.test_joint import settings as joint_settings
from tests.training.test_trainer import Signals, rows
from vqvae import storage
from vqvae.errors import CheckpointError, VqvaeError
from vqvae.training import Interrupted

PARTS = [ToyAdversaryConfig]


def trained(folder: Path, **changes: object) -> dict[str, Tensor]:
    return tiny.trainer(folder, adversary.settings(**changes)).run().state_dict()


def of(state: dict[str, Tensor], theirs: bool) -> dict[str, Tensor]:
    """The tensors of the adversary, or those of the model."""
    return {name: tensor for name, tensor in state.items() if name.startswith("further.") is theirs}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("training", [True, False])
def test_neither_loss_reaches_what_the_other_moves(training: bool) -> None:
    for loss, theirs in (("loss", False), ("adversary", True)):
        module = adversary.model().build().train(training)
        getattr(module(tiny.Noise(4, 0).batch(torch.arange(4).numpy())), loss).backward()
        moved = {name for name, parameter in module.named_parameters() if parameter.grad is not None and parameter.grad.any()}
        assert moved and all(name.startswith("further.") is theirs for name in moved)
        assert all(p.grad is None for name, p in module.named_parameters() if name.startswith("further.") is not theirs)


def test_the_model_pays_for_being_told_apart() -> None:
    batch = tiny.Noise(4, 0).batch(torch.arange(4).numpy())
    gradients = []
    for weight in (0.0, 0.5, 1.0):
        torch.manual_seed(0)
        module = adversary.model(weight, dropout=0.0).build()
        module(batch).loss.backward()
        gradients.append(module.encoder.get_parameter("layers.0.weight").grad)
    nothing, half, whole = gradients
    # Twice the weight is twice the pull, up to the rounding of float32 sums.
    torch.testing.assert_close(whole - nothing, 2 * (half - nothing), rtol=1e-3, atol=1e-7)
    assert not torch.equal(half, nothing)


@pytest.mark.parametrize(
    "changes",
    [{}, {"average_decay": 0.0}, {"precision": "bfloat16"}, {"accumulate": 2}],
    ids=["averaged", "plain", "bfloat16", "accumulated"],
)
def test_a_run_that_was_stopped_ends_like_an_unbroken_one(tmp_path: Path, changes: dict) -> None:
    config = adversary.settings(**changes)
    tiny.trainer(tmp_path / "whole", config).run()
    with pytest.raises(Interrupted, match="after step 7"):
        tiny.trainer(tmp_path / "broken", config, callbacks=[Signals((signal.SIGTERM,))]).run()
    tiny.trainer(tmp_path / "broken", config).run()
    assert tiny.contents(tmp_path / "broken") == tiny.contents(tmp_path / "whole")
    stored = storage.read_tensors(tmp_path / "whole/checkpoints/step-000012/optimizer.safetensors")
    parameters = {name for name, _ in adversary.model().build().named_parameters()}
    assert stored.keys() == {f"{name}/{entry}" for name in parameters for entry in ("step", "exp_avg", "exp_avg_sq")}
    assert {float(tensor) for name, tensor in stored.items() if name.endswith("/step")} == {12.0}


def test_each_optimizer_moves_its_own_parameters_at_its_own_pace(tmp_path: Path) -> None:
    """In the first step: later ones hear of each other through what was made."""
    own = adversary.settings().adversary_optimizer
    plain = trained(tmp_path / "plain", steps=1)
    theirs = trained(tmp_path / "theirs", steps=1, adversary_optimizer=dataclasses.replace(own, learning_rate=1.0))
    ours = trained(tmp_path / "ours", steps=1, optimizer=tiny.AdamConfig(learning_rate=1.0))
    assert same(of(theirs, False), of(plain, False)) and not same(of(theirs, True), of(plain, True))
    assert same(of(ours, True), of(plain, True)) and not same(of(ours, False), of(plain, False))


def test_each_optimizer_has_its_own_schedule_and_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []
    take = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW) -> None:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        seen.append((self.param_groups[0]["lr"], float(torch.nn.utils.get_total_norm(gradients))))
        take(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    optimizer = tiny.AdamConfig(learning_rate=1.0, clip_norm=1e-4)
    own = tiny.AdamConfig(learning_rate=0.4, warmup_steps=4, clip_norm=1e-3)
    config = adversary.settings(steps=3, optimizer=optimizer, adversary_optimizer=own)
    tiny.trainer(tmp_path, config, log_every=1).run()
    assert [rate for rate, _ in seen] == pytest.approx([1.0, 0.1, 1.0, 0.2, 1.0, 0.3])
    # Clipping divides by the norm plus 1e-6.
    assert [norm for _, norm in seen] == pytest.approx([1e-4, 1e-3] * 3, rel=1e-3)
    logged = [row for row in rows(tmp_path) if "loss" in row]
    assert all(row["gradient_norm"] > 1e-3 and row["adversary_gradient_norm"] > 1e-3 for row in logged)
    assert len({row["gradient_norm"] - row["adversary_gradient_norm"] for row in logged}) == 3


def test_both_losses_are_logged(tmp_path: Path) -> None:
    trained(tmp_path)
    told = [row for row in rows(tmp_path) if "loss" in row]
    assert all(0 < row["adversary_loss"] < 3 and row["toy_adversary"] for row in told)
    scored = [row for row in rows(tmp_path) if "held_out_loss" in row]
    assert scored and all(0 < row["held_out_adversary_loss"] < 3 for row in scored)
    assert "held_out_adversary_loss" in storage.read(tmp_path / "tokenizer", PARTS).card.metrics


def test_accumulation_learns_what_whole_batches_teach(tmp_path: Path) -> None:
    model = adversary.model(revive_after=0, dropout=0.0)
    whole, parts = trained(tmp_path / "a", model=model), trained(tmp_path / "b", model=model, accumulate=4)
    for name, value in whole.items():
        # Sums in another order: float32 rounding, over 12 steps of Adam.
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    # What Adam moves hardly depends on the size of gradients, so their norms are compared, too.
    one, other = ([row for row in rows(tmp_path / name) if "loss" in row] for name in ("a", "b"))
    for name in ("loss", "adversary_loss", "gradient_norm", "adversary_gradient_norm"):
        assert [row[name] for row in one] == pytest.approx([row[name] for row in other], rel=1e-3)


def test_the_average_follows_the_adversary_too(tmp_path: Path) -> None:
    start = tiny.build(adversary.settings()).state_dict()
    trained(tmp_path, average_decay=0.9)
    checkpoint = tmp_path / "checkpoints/step-000012"
    averaged, learned = (storage.read_tensors(checkpoint / f"{name}.safetensors") for name in ("weights", "unaveraged"))
    for name, tensor in of(averaged, True).items():
        assert not torch.equal(tensor, learned[name]) and not torch.equal(tensor, start[name])


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_the_run_before_anything_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    own_loss, calls = ToyAdversary.own_loss, []

    def spoiled(self: ToyAdversary, made: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        loss = own_loss(self, made, x, mask)
        calls.append(loss)
        if len(calls) != 5:
            return loss
        return loss * math.nan if where == "loss" else loss + (loss - loss) ** 0.5

    monkeypatch.setattr(ToyAdversary, "own_loss", spoiled)
    trainer = tiny.trainer(tmp_path, adversary.settings(average_decay=0.0, evaluate_every=0), checkpoint_every=4)
    words = "the loss of the adversary is nan.*" if where == "loss" else "the norm of its gradient nan; the step.*"
    with pytest.raises(VqvaeError, match=f"At step 4 .*{words}step-000004.*adversary_optimizer.learning_rate"):
        trainer.run()
    stored = storage.read_tensors(tmp_path / "checkpoints/step-000004/weights.safetensors")
    assert same(stored, trainer.module.state_dict())


def test_a_run_is_loaded_by_who_names_the_class(tmp_path: Path) -> None:
    state = trained(tmp_path, steps=2)
    loaded = storage.load(tmp_path / "tokenizer", parts=PARTS)
    assert same(loaded.state_dict(), state) and isinstance(loaded.further[0], ToyAdversary)
    with pytest.raises(CheckpointError, match=r"config.json: .*'ToyAdversaryConfig'.*parts=\[ToyAdversaryConfig\]"):
        storage.load(tmp_path / "tokenizer")
    assert same(trained(tmp_path, steps=2), state), "a finished run is only loaded"


def test_other_settings_of_the_adversary_are_refused(tmp_path: Path) -> None:
    trained(tmp_path, steps=2)
    with pytest.raises(VqvaeError, match="config.adversary_optimizer.learning_rate: 0.003 -> 0.1"):
        trained(tmp_path, steps=2, adversary_optimizer=dataclasses.replace(adversary.settings().adversary_optimizer, learning_rate=0.1))


def test_a_run_from_before_there_were_two_optimizers_goes_on(tmp_path: Path) -> None:
    tiny.trainer(tmp_path / "whole", tiny.settings()).run()
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path / "broken", tiny.settings(), callbacks=[Signals((signal.SIGTERM,))]).run()
    path = tmp_path / "broken/checkpoints/step-000007/state.json"
    state = json.loads(path.read_text())
    assert state["training"].pop("adversary_optimizer")["kind"] == "AdamConfig"
    path.write_text(json.dumps(state))
    tiny.trainer(tmp_path / "broken", tiny.settings()).run()
    assert tiny.contents(tmp_path / "broken") == tiny.contents(tmp_path / "whole")


def test_a_tokenizer_with_an_adversary_is_trained_with_its_prior(tmp_path: Path) -> None:
    config = joint_settings()
    tokenizer = dataclasses.replace(config.tokenizer, likelihood=adversary.model().likelihood, criteria=adversary.model().criteria)
    whole = adversary.settings(model=dataclasses.replace(config, tokenizer=tokenizer), steps=3, average_decay=0.0)
    start = tiny.build(whole).state_dict()
    state = tiny.trainer(tmp_path, whole, stage="joint").run().state_dict()
    judges = [name for name in start if name.startswith("tokenizer.further.")]
    assert judges and not any(torch.equal(state[name], start[name]) for name in judges)
