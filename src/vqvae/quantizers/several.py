"""What quantizers with several codebooks share: their parts appear, initialise and accumulate as one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vqvae.quantizers.base import CodebookQuantizer
from vqvae.quantizers.codebook import SingleCodebook


class SeveralCodebooks(CodebookQuantizer):
    """Codebooks of one size, each with one code per position. A subclass defines their inputs and how their vectors combine."""

    parts: Sequence[SingleCodebook]

    def __init__(self, *, dim: int, codebook_size: int, parts: Iterable[SingleCodebook]) -> None:
        super().__init__()
        # torch does not type the modules of a ModuleList.
        self.parts = cast("Sequence[SingleCodebook]", nn.ModuleList(parts))
        self.dim, self.num_codebooks, self.codebook_size = dim, len(self.parts), codebook_size

    @property
    # pyrefly: ignore[bad-override]  # A view of the parts' codebooks: read, like the base's attribute, but never set.
    def codebook(self) -> Float[Tensor, "codebooks codebook_size part"]:
        """e, of all codebooks."""
        return torch.cat([part.codebook for part in self.parts])

    @property
    # pyrefly: ignore[bad-override]  # As above.
    def started(self) -> Bool[Tensor, ""]:
        """Whether all codebooks are initialised."""
        return torch.stack([part.started for part in self.parts]).all()

    @property
    def counts(self) -> Float[Tensor, "codebooks codebook_size"]:
        """N of all codebooks (only if they learn by running means)."""
        return torch.cat([part.get_buffer("counts") for part in self.parts])

    @property
    def sums(self) -> Float[Tensor, "codebooks codebook_size part"]:
        """m of all codebooks (only if they learn by running means)."""
        return torch.cat([part.get_buffer("sums") for part in self.parts])

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Accumulate in every codebook."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(part.accumulate())
            yield
