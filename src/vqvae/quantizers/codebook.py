"""What all learned codebooks share: flattening, masks, initialisation from data, usage, revival, accumulation.

latents (batch, dim, *space) ─ rows ─ nearest ─ codes ─ vectors
                                        │
                   statistics, summed over ranks ─ learn ─ revive
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from vqvae import distributed
from vqvae.codes import check_codes
from vqvae.config import check_at_least
from vqvae.errors import ConfigError, DataError
from vqvae.exact import is_traced
from vqvae.quantizers.base import CodebookQuantizer, Quantized, check_finite, check_latents, without_casts
from vqvae.quantizers.gradient import Gradient, commitment, pass_gradient
from vqvae.quantizers.nearest import nearest
from vqvae.quantizers.rows import count_entries, from_rows, to_rows

START_ROWS_PER_CODE = 32
START_ITERATIONS = 10


class Statistics(NamedTuple):
    """One training step's statistics of each code, over all ranks."""

    counts: Float[Tensor, " codes"]
    """n_i: how many rows chose the code."""
    sums: Float[Tensor, "codes dim"]
    """Their sum."""


class Chosen(NamedTuple):
    """A codebook's output for rows."""

    vectors: Float[Tensor, "rows dim"]
    """The codes' vectors. Their gradient flows to the codebook if it learns by gradient."""
    codes: Int[Tensor, " rows"]
    """The nearest codes."""
    loss: Float[Tensor, ""]
    """The weighted commitment term plus the codebook's own loss."""


class SingleCodebook(CodebookQuantizer):
    """One learned codebook. A subclass defines where the codebook is stored (``codebook``, ``_write``) and how it learns (``_learn``)."""

    num_codebooks = 1

    def __init__(
        self, *, dim: int, codebook_size: int, commitment_cost: float, revive_after: int, gradient: Gradient, start_from_data: bool
    ) -> None:
        super().__init__()
        check_at_least(1, "", dim=dim, codebook_size=codebook_size)
        if revive_after < 0 or commitment_cost < 0:
            raise ConfigError(
                f"commitment_cost is {commitment_cost} and revive_after is {revive_after}; neither may be negative (revive_after 0 is off)."
            )
        self.dim, self.codebook_size = dim, codebook_size
        self.commitment_cost, self.gradient, self.revive_after = commitment_cost, gradient, revive_after
        self.register_buffer("started", torch.tensor(not start_from_data))
        self.register_buffer("idle", torch.zeros(codebook_size, dtype=torch.int64))
        self._pending: list[Statistics] | None = None
        self._candidates: list[Tensor] = []
        self._before: Tensor | None = None
        self._uncounted = False

    def quantize(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
        costs: Float[Tensor, "codebooks codebook_size"] | None = None,
    ) -> Quantized:
        """Quantize; see ``Quantizer.forward``. Codes and vectors come from the same codebook: the update follows."""
        check_latents(latents, self.dim)
        with torch.autocast(latents.device.type, enabled=False):
            rows = to_rows(latents, mask)
            chosen = self.quantize_rows(rows, count_entries(rows, mask), costs)
            vectors = pass_gradient(rows, chosen.vectors.detach(), self.gradient)
            return from_rows(latents, mask, chosen.codes[:, None], vectors, chosen.loss)

    def quantize_rows(
        self,
        rows: Float[Tensor, "rows dim"],
        count: Float[Tensor, ""] | float,
        costs: Float[Tensor, "one codebook_size"] | None = None,
    ) -> Chosen:
        """``forward`` for float32 rows, with initialisation and learning but without the decoder's gradient.

        Args:
            count: number of entries over which the loss is averaged.
        """
        recomputing = _in_backward()
        learning = self.training and torch.is_grad_enabled() and (not recomputing or self._uncounted)
        if self.training and not recomputing:
            # A forward pass without gradients may belong to a reentrant checkpoint: then its recomputation counts.
            self._uncounted = not learning
        if learning and not self.started:
            check_finite(rows, "latents")
            self.start(rows)
        # An update since the forward pass must not change what its recomputation chooses.
        codebook = self._before if recomputing and not self._uncounted and self._before is not None else self.codebook[0]
        codes, scores = nearest(rows, codebook, None if costs is None else costs[0])
        vectors, codebook_loss = self._look_up(codebook, codes, rows, count)
        distance = commitment(rows, vectors, count)
        # One number that is bad if any latent is bad: only then check all latents.
        if not is_traced() and not (torch.isfinite(distance) & torch.isfinite(scores).all()):
            check_finite(rows, "latents")
            raise DataError("The codebook or its costs are NaN, infinite or too large, so there is no nearest code. Load them again.")
        loss = codebook_loss + self.commitment_cost * distance
        if learning:
            # A copy, because learning writes into the codebook in place.
            self._before = codebook.detach().clone()
            self._observe(rows.detach(), codes)
        return Chosen(vectors, codes, loss)

    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes; see ``Quantizer.decode``."""
        codes = check_codes(codes, 1, self.codebook_size, "codebook")
        return self.codebook[0].detach()[codes[:, 0]].movedim(-1, 1)

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Gather statistics inside and learn from them once at the end. An exception discards them."""
        self._pending = []
        try:
            yield
            pending = self._pending
            self._pending = None
            if pending:
                counts, sums = zip(*pending, strict=True)
                self._learn_from(Statistics(sum(counts[1:], start=counts[0]), sum(sums[1:], start=sums[0])))
        finally:
            self._pending, self._candidates = None, []

    @torch.no_grad()
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Initialise by k-means over at most 32 rows per code, drawn from all ranks. All ranks use rank 0's result."""
        # Ranks draw different rows, and k-means starts at random: ranks agree only if all take one rank's result.
        share = -(-START_ROWS_PER_CODE * self.codebook_size // distributed.world_size())
        pool = distributed.gather_rows(_draw(latents.float(), share))
        if len(pool) == 0:
            return
        self._write(torch.arange(self.codebook_size, device=pool.device), distributed.broadcast(_kmeans(pool, self.codebook_size)))
        self.started.fill_(True)

    @abstractmethod
    def _look_up(
        self, codebook: Tensor, codes: Tensor, rows: Tensor, count: Tensor | float
    ) -> tuple[Float[Tensor, "rows dim"], Tensor | float]:
        """The vectors of the codes, and the codebook's own loss."""

    @abstractmethod
    def _learn(self, statistics: Statistics) -> None:
        """Move the codebook by one step's statistics."""

    @abstractmethod
    def _write(self, codes: Int[Tensor, " some"], vectors: Float[Tensor, "some dim"]) -> None:
        """Set codes to vectors and reset their running statistics."""

    def _apply(self, fn, recurse: bool = True):  # noqa: ANN001, ANN202
        """Codebook and statistics stay float32: a running mean with a decay of 0.99 would stand still in bfloat16."""
        return super()._apply(without_casts(fn), recurse)

    @torch.no_grad()
    def _observe(self, rows: Tensor, codes: Tensor) -> None:
        counts = torch.bincount(codes, minlength=self.codebook_size).float()
        # Scattering with an expanded index is faster than index_add_ and far faster than a one-hot product.
        sums = rows.new_zeros(self.codebook_size, self.dim).scatter_add_(0, codes[:, None].expand_as(rows), rows)
        if self.revive_after:
            self._candidates.append(_draw(rows, self.codebook_size))
        if self._pending is None:
            self._learn_from(Statistics(counts, sums))
            self._candidates = []
        else:
            self._pending.append(Statistics(counts, sums))

    @torch.no_grad()
    def _learn_from(self, local: Statistics) -> None:
        # Together: every sum over ranks waits for the slowest rank.
        both = distributed.sum_(torch.cat([local.counts[:, None], local.sums], dim=1))
        statistics = Statistics(both[:, 0], both[:, 1:])
        self._learn(statistics)
        self.idle.add_(1).masked_fill_(statistics.counts > 0, 0)
        if self.revive_after:
            self._revive()

    def _revive(self) -> None:
        """Set every code that was idle for ``revive_after`` steps to a row of this step, drawn from the union of all ranks."""
        dead = torch.nonzero(self.idle >= self.revive_after)[:, 0]
        if len(dead) == 0:  # The same on all ranks: idle follows from summed counts.
            return
        pool = distributed.gather_rows(torch.cat(self._candidates))
        # The remaining dead codes stay idle until the next step.
        some = min(len(dead), len(pool))
        drawn = distributed.broadcast(torch.randperm(len(pool), device=pool.device)[:some])
        self._write(dead[:some], pool[drawn])
        self.idle[dead[:some]] = 0


def _in_backward() -> bool:
    """Whether this runs inside a backward pass, as the recomputation of an activation checkpoint does."""
    # torch.utils.checkpoint uses the same test. Compiled code has its own checkpoints and cannot use it.
    return not is_traced() and torch._C._current_graph_task_id() != -1


def _draw(rows: Tensor, count: int) -> Tensor:
    """At most ``count`` rows, without repeats, drawn with torch's global generator. The trainer seeds it from seed, step and rank."""
    if len(rows) <= count:
        return rows
    return rows[torch.randperm(len(rows), device=rows.device)[:count]]


def _kmeans(rows: Float[Tensor, "rows dim"], size: int) -> Float[Tensor, "size dim"]:
    """Lloyd's iterations from random rows; a centre that loses all its rows restarts from a random row.

    If there are fewer rows than centres, rows are repeated with a little noise, so that every code can win a row later.
    """
    pick = torch.randperm(len(rows), device=rows.device)
    centres = rows[pick[torch.arange(size, device=rows.device) % len(rows)]].clone()
    if len(rows) < size:
        spread = rows.std(0, correction=0).clamp(min=1e-4)
        # Of equal centres the first would get all rows.
        centres[len(rows) :] += 0.1 * spread * torch.randn_like(centres[len(rows) :])
        return centres
    for _ in range(START_ITERATIONS):
        codes = nearest(rows, centres).codes
        counts = torch.bincount(codes, minlength=size)
        sums = torch.zeros_like(centres).scatter_add_(0, codes[:, None].expand_as(rows), rows)
        empty = counts == 0
        centres = torch.where(empty[:, None], centres, sums / counts.clamp(min=1)[:, None])
        centres[empty] = rows[torch.randint(len(rows), (int(empty.sum()),), device=rows.device)]
    return centres
