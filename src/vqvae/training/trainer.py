"""One training loop for every module that turns a batch into an objective."""

import copy
import dataclasses
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from vqvae import config as configuration
from vqvae import disk, distributed, seeding, storage
from vqvae.data.base import Batch, Objective, Splits
from vqvae.data.loader import Loader, global_indices, spread_indices
from vqvae.errors import ConfigError
from vqvae.models.base import Tokenizer
from vqvae.priors import Prior
from vqvae.quantizers.base import outermost
from vqvae.storage import RunCard
from vqvae.training.averaging import Average
from vqvae.training.callbacks import Callback, Early, drawn, is_due
from vqvae.training.checkpoint import Best, Checkpoints, Learner, Progress, only_writer, saved_on_error
from vqvae.training.estimate import EVALUATED, Plan, Speed, budgeted, introduction, measure, memorised
from vqvae.training.interruption import Interrupted, Interruption, remembered_signals
from vqvae.training.joint import Joint
from vqvae.training.logging import Log, Meter, show_error
from vqvae.training.losses import NORMS, check_adversary, check_finite, losses_of, total
from vqvae.training.machine import check_compiler, keep_freed_memory, lay_out, pick_device, pick_dtype
from vqvae.training.optimizers import build_optimizers, learning_rate
from vqvae.training.pace import Pace
from vqvae.training.resuming import check_same, check_steps, more_steps, start_from
from vqvae.training.settings import RunOptions, TrainConfig, check_batch_size
from vqvae.words import duration, say

START_BATCHES, PREPARING_BATCHES = 4, 256
"""Batches from which codebooks and the embeddings of priors are initialised."""
_GLANCE, _GLANCED, _LOOK = 0.3, 3, 5.0
"""Limits of the measurement: seconds and steps for an estimate, and seconds for a time limit in minutes."""


def build(config: TrainConfig) -> nn.Module:
    """Build a configuration's model, with initial weights drawn from its seed."""
    seeding.seed_everything(config.seed, "weights")
    return config.model.build()


class Trainer:
    """Train a module whose ``forward(batch)`` is an Objective, and save everything in a run folder.

    A run that is killed and restarted ends with the same weights, bit for bit, on the same kind of CPU with the same number of threads.
    Batches and noise are functions of the seed and the step; checkpoints hold the rest.
    Several processes (torchrun) share every batch. Up to rounding, they learn what one process would learn.
    With masked examples, each process and each part of an accumulated batch has the same weight, however many positions it has.
    """

    def __init__(
        self,
        module: nn.Module,
        splits: Splits,
        config: TrainConfig,
        options: RunOptions,
        folder: Path,
        stage: str = "tokenizer",
        callbacks: Sequence[Callback] = (),
        card: RunCard = RunCard(),
    ) -> None:
        """Prepare a training. Nothing is trained or written yet.

        Args:
            module: the module to train, from ``build`` or from your own modules.
            splits: the training data and the held-out data.
            config: the settings that affect what is learned; ``config.model`` is the module's configuration.
            options: the settings that do not affect it.
            folder: the run folder.
            stage: the name of the trained part within the folder.
            callbacks: called during training, for pictures.
            card: what is known about the run. The trainer adds the names of data and labels, and the settings.

        Raises:
            ConfigError: if the saved module could not be loaded again, or the settings do not fit it.
        """
        self._began, self._open = time.perf_counter(), False
        storage.check_storable(module)
        # Built only to find unsuitable settings before the folder is created.
        build_optimizers(module, config.optimizer, config.adversary_optimizer)
        self.parts = configuration.kinds(module.config)
        self.splits, self.config, self.options, self.folder, self.stage = splits, config, options, disk.user_path(folder), stage
        self.callbacks = callbacks
        self.training = configuration.to_json(config)
        train = splits.train
        self.card = dataclasses.replace(
            card,
            signal=card.signal or train.signal,
            data=train.name,
            held_out_data=splits.held_out.name,
            label_names=train.label_names,
            action_names=train.action_names,
            training=self.training,
        )
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.device = pick_device(options.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.dtype = pick_dtype(config.precision, self.device)
        self.module = lay_out(module.to(self.device), self.dtype)
        checkpoints = self.folder / "checkpoints"
        self.checkpoints = Checkpoints(checkpoints if stage == "tokenizer" else checkpoints / stage, options.keep_last)

    def run(self) -> nn.Module:
        """Train to the end, save ``RUN/STAGE``, and return the saved module in evaluation mode. A finished run is only loaded.

        Raises:
            ConfigError: if the run was trained with other settings or on other data.
            CheckpointError: if a checkpoint is damaged or cannot be written.
            Interrupted: after Ctrl-C or SIGTERM; the last step is saved.
            VqvaeError: if the loss or the gradient is not finite.
        """
        with ExitStack() as stack:
            stack.enter_context(distributed.group(self.device))
            if distributed.is_main():
                stack.enter_context(only_writer(self.folder))
                disk.clean(self.folder), disk.clean(self.checkpoints.folder)
            distributed.barrier()
            check_batch_size(self.config, distributed.world_size())
            state = self._begin()
            state = None if state is None else self._plan(state)
            if state is not None:
                shown = {"steps": self.config.steps, "settings": configuration.dumps(self.config), "quiet": not distributed.is_main()}
                log = stack.enter_context(closing(Log(self.folder, self.stage, step=state.step, **shown)))
                with remembered_signals() as interruption:
                    self._train(state, log, interruption)
                if distributed.is_main():
                    storage.save(self.learner.evaluated, self.folder / self.stage, self.card)
            distributed.barrier()
            return lay_out(storage.load(self.folder / self.stage, self.parts).to(self.device), self.dtype)

    def _begin(self) -> Progress | None:
        """Find the initial state; None if the run is finished."""
        # Decide how to begin. The order matters.
        # 1. A finished part with as many steps: nothing is left to do.
        # 2. The run's own last checkpoint: resume from it, even if the run once started from another run.
        # 3. The weights of another run (fine-tuning): step 0 and a fresh optimizer.
        # 4. The newly built module, with codebooks initialised from the first batches.
        finished, last = self.folder / self.stage, self.checkpoints.latest()
        self._adopt_steps(last)
        config = self.config
        if is_trained := disk.exists(finished):
            card = storage.read(finished, self.parts).card
            check_same(card, config, self.splits, finished, self.parts)
            trained = dict(card.training or {})
            done = trained["steps"] if isinstance(trained.get("steps"), int) else 0
            if not self._open:
                check_steps(trained, done, config.steps, finished)
            if done == config.steps and not self._open:
                self._keep(finished, card)
                return None
        if last is not None:
            return self._go_on(last)
        if is_trained:
            raise ConfigError(
                f"{finished} cannot take more steps: its checkpoints are gone. Start a new run from it: --from {self.folder}."
            )
        if config.start_from is not None:
            start_from(config.start_from, self.module, self.stage, self.parts)
        else:
            self._start(self.module)
        distributed.broadcast_module(self.module)
        self.learner = self._learner()
        return Progress(0, 0.0, None, self.training)

    def _go_on(self, last: Progress) -> Progress:
        """Restore the last checkpoint."""
        where = self.checkpoints.path(last.step)
        card = storage.read(where, self.parts).card
        check_same(dataclasses.replace(card, training=last.training), self.config, self.splits, where, self.parts)
        if not self._open:
            check_steps(last.training, last.step, self.config.steps, where)
        self.learner = self._learner()
        self.checkpoints.restore(self.learner, last.step)
        self.card = dataclasses.replace(self.card, metrics=card.metrics)
        self._say(f"continues from {where}")
        if last.training.get("steps") != self.config.steps and not self._open:
            self._say(more_steps(self.config, last.training, last.step))
        return last

    def _adopt_steps(self, last: Progress | None) -> None:
        """Reuse the number of steps if the run was already planned for as many minutes. Otherwise it is still open."""
        minutes, finished = self.config.minutes, self.folder / self.stage
        trained = dict(last.training) if last is not None else {}
        if last is None and disk.exists(finished):
            trained = dict(storage.read(finished, self.parts).card.training or {})
        steps = trained.get("steps")
        known = minutes is not None and trained.get("minutes") == minutes and isinstance(steps, int)
        self._open = minutes is not None and not known
        if known:
            self._settle(steps)

    def _settle(self, steps: int) -> None:
        """Fix the number of steps."""
        self.config = dataclasses.replace(self.config, steps=steps)
        self.training = configuration.to_json(self.config)
        self.card = dataclasses.replace(self.card, training=self.training)

    def _plan(self, state: Progress) -> Progress | None:
        """Print how long training will take, and set the steps if minutes are given. None if the minutes of a finished run are used up."""
        config, what = self.config, introduction(self.module, self.device, self.folder)
        plan = Plan.of(config, self.splits, coded=isinstance(self.module, Tokenizer))
        if config.minutes is None or not self._open:
            estimate = ""
            # The estimate must not fail, because training explains the error better. It is not worth a minute of compilation.
            with suppress(Exception):
                if self.options.estimate and not config.compile and config.steps > state.step:
                    seconds = plan.seconds(self._measure(_GLANCE, _GLANCED), config.steps - state.step)
                    estimate = f" About {duration(seconds)} for {config.steps - state.step:,} steps."
            self._say(what + estimate)
            return state
        budget = 60 * config.minutes - state.seconds - (time.perf_counter() - self._began)
        speed = self._measure(min(_LOOK, 3 * config.minutes))
        planned = state.step + (plan.steps(speed, budget) if budget > 0 else not state.step)
        steps = torch.tensor(min(planned, max(config.most_steps or planned, state.step)))
        self._settle(int(distributed.broadcast(steps.to(self.device))))
        if self.config.steps <= state.step and disk.exists(self.folder / self.stage):
            self._keep(self.folder / self.stage, storage.read(self.folder / self.stage, self.parts).card)
            return None
        self._say(f"{what} {budgeted(config, planned, self.config.steps, speed)}")
        return state

    def _say(self, words: str) -> None:
        if words and distributed.is_main():
            say(f"{self.stage}  {words}")

    def _measure(self, seconds: float, most: int = 10_000) -> Speed:
        """Time a few steps of a copy. This does not affect what is learned."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        twin.learner = twin._learner()
        config, train, share = self.config, self.splits.train, self.config.batch_size // distributed.world_size()

        def batch(step: int) -> Batch:
            return train.batch(global_indices(config.seed, step, config.batch_size, len(train))[:share])

        with distributed.alone():
            return measure(
                lambda step: twin._learn(step, batch(step), twin.module, Meter(), Interruption()),
                lambda step: twin._look(batch(step)),
                seconds,
                most,
            )

    @torch.no_grad()
    def _look(self, batch: Batch) -> Objective:
        return self._objective(self.module.eval(), batch.to(self.device))

    def _keep(self, finished: Path, card: RunCard) -> None:
        """Print that a part is finished. If its data has moved, store the new path."""
        if distributed.is_main():
            say(f"{finished} is finished; nothing is left to train.")
            trained = {**(card.training or {}), "data": self.training["data"] or (card.training or {}).get("data")}
            if trained != card.training:
                storage.write_card(finished, dataclasses.replace(card, training=trained), self.parts)

    def _train(self, state: Progress, log: Log, interruption: Interruption) -> None:
        config, options = self.config, self.options
        if config.compile:
            check_compiler()
            self.module.compile()
        parallel = distributed.data_parallel(self.module)
        loader = Loader(
            self.splits.train,
            batch_size=config.batch_size,
            seed=config.seed,
            first_step=state.step,
            steps=config.steps,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
        )
        best = state.best
        began = time.perf_counter() - state.seconds
        meter, pace, early = Meter(), Pace(config.batch_size, state.step), Early()

        def keep(done: int) -> None:
            if distributed.is_main():
                self.checkpoints.save(self.learner, Progress(done, time.perf_counter() - began, best, self.training), self.card)

        for step, batch in saved_on_error(loader, state.step, keep):
            done, last = step + 1, step + 1 == config.steps
            logged = done % options.log_every == 0 or last
            show_error(self.module, logged)
            number = self._learn(step, batch, parallel, meter, interruption)
            pace.stop()
            log.advance(done)
            if logged:
                rate = learning_rate(config.optimizer, step, config.steps)
                seconds = time.perf_counter() - began
                log.row(done, {**meter.take(), "seconds": seconds, "learning_rate": rate, **pace.take(done, loader.waited_seconds)})
            improved = False
            if last or (config.evaluate_every and done % config.evaluate_every == 0):
                scores = self._evaluate()
                if scores:
                    log.row(done, {**scores, "seconds": time.perf_counter() - began})
                    self.card = dataclasses.replace(self.card, metrics=scores)
                    improved = best is None or scores["held_out_loss"] < best.held_out_loss
                    best = Best(done, scores["held_out_loss"]) if improved else best
                    self._say(memorised(best, scores["held_out_loss"]) if last else "")
            if distributed.is_main():
                self._call_back(done, last, early(done), log)
                due = options.checkpoint_every and done % options.checkpoint_every == 0
                if due or improved or last or number:
                    keep(done)
            if number and not last:
                where = self.checkpoints.path(done)
                name = signal.Signals(number).name
                raise Interrupted(f"Stopped by {name} after step {done}; saved {where}. Run the same command to resume.", 128 + number)
            pace.start()

    def _learn(self, step: int, batch: Batch, parallel: nn.Module, meter: Meter, interruption: Interruption) -> int:
        """Take one step. Returns the number of the signal that any process received, or 0."""
        config, (module, optimizers, average) = self.config, self.learner
        seeding.seed_everything(config.seed, "noise", step, distributed.rank())
        module.train()
        with ExitStack() as stack:
            for quantizer in outermost(module):
                stack.enter_context(quantizer.accumulate())
            found = self._backward(batch.to(self.device).split(config.accumulate), parallel, meter)
            norms = {name: optimizer.norm().to(self.device) for name, optimizer in zip(NORMS, optimizers, strict=False)}
            meter.add(norms)
            found |= norms
            own = interruption.signal or 0
            # One exchange for everything that processes must agree on. It is inside accumulate(), so an error here changes no codebook.
            sent = [*(value.float() for value in found.values()), torch.tensor(float(own), dtype=torch.float32, device=self.device)]
            *report, stopped = distributed.mean_(torch.stack(sent)).tolist()
            check_finite(step, dict(zip(found, report, strict=True)), self.checkpoints)
        for optimizer, norm in zip(optimizers, norms.values(), strict=True):
            optimizer.step(norm, step, config.steps)
        if average is not None:
            average.update(module, step)
        return own or (signal.SIGTERM if stopped else 0)

    def _backward(self, parts: Sequence[Batch], parallel: nn.Module, meter: Meter) -> dict[str, Tensor]:
        """Add up the gradients of the parts of a batch. Returns the mean of each loss."""
        means: dict[str, Tensor] = {}
        for i, part in enumerate(parts):
            with nullcontext() if i == len(parts) - 1 else distributed.no_sync(parallel):
                objective = self._objective(parallel, part)
                check_adversary(self.learner, objective)
                (total(objective) / len(parts)).backward()
            losses = losses_of(objective)
            for name, loss in losses.items():
                means[name] = means.get(name, 0) + loss.detach() / len(parts)
            meter.add({**losses, **objective.metrics})
        return means

    def _objective(self, module: nn.Module, batch: Batch) -> Objective:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return module(batch)

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        """The metrics of up to 1024 held-out examples: the same ones, with the same noise, each time. Empty if nothing is held out."""
        held_out, module = self.splits.held_out, self.learner.evaluated.eval()
        indices = spread_indices(held_out, EVALUATED)
        seeding.seed_everything(self.config.seed, "evaluation", distributed.rank())
        meter = Meter()
        for first in range(0, len(indices), self.config.batch_size):
            mine = indices[first : first + self.config.batch_size][distributed.rank() :: distributed.world_size()]
            # A process without an example evaluates one with weight 0, because modules also sum over processes.
            objective = self._objective(module, held_out.batch(mine if len(mine) else indices[:1]).to(self.device))
            meter.add({**losses_of(objective), **objective.metrics}, weight=len(mine))
        return {f"held_out_{name}": value for name, value in meter.take().items()}

    def _call_back(self, done: int, last: bool, early: bool, log: Log) -> None:
        for callback in self.callbacks:
            if last or is_due(callback, done, early):
                with distributed.alone(), torch.no_grad():
                    pictures = drawn(callback, done, self.learner.evaluated.eval(), self.folder)
                for name, pixels in pictures.items():
                    log.picture(done, name, pixels)

    def _learner(self) -> Learner:
        config = self.config
        average = Average(self.module, config.average_decay) if config.average_decay else None
        return Learner(self.module, build_optimizers(self.module, config.optimizer, config.adversary_optimizer), average)

    @torch.no_grad()
    def _start(self, module: nn.Module) -> None:
        """Set the codebooks of a tokenizer and the embeddings of a prior from the first batches. One process does this for all, so the
        number of processes has no effect."""
        config, train = self.config, self.splits.train
        if not isinstance(module, (Tokenizer, Joint, Prior)) or not distributed.is_main():
            return
        seeding.seed_everything(config.seed, "start")
        number = PREPARING_BATCHES if isinstance(module, Prior) else min(START_BATCHES, config.steps)
        indices = (global_indices(config.seed, step, config.batch_size, len(train)) for step in range(number))
        with distributed.alone():
            batches = (train.batch(rows).to(self.device) for rows in indices)
            (module.prepare if isinstance(module, Prior) else module.train().start)(batches)
