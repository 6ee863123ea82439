"""What quantizers made of several codebooks share: their parts are seen, started and accumulated as one."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vqvae.quantizers.base import CodebookQuantizer
from vqvae.quantizers.codebook import SingleCodebook


class SeveralCodebooks(CodebookQuantizer):
    """Codebooks of one size, one code a position each. A subclass says what each of them looks at, and what becomes of their vectors."""

    parts: Sequence[SingleCodebook]

    def __init__(self, *, dim: int, codebook_size: int, parts: Iterable[SingleCodebook]) -> None:
        super().__init__()
        # torch does not type what a ModuleList holds.
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
        """Whether all codebooks have started."""
        return torch.stack([part.started for part in self.parts]).all()

    @property
    def counts(self) -> Float[Tensor, "codebooks codebook_size"]:
        """N of all codebooks (only where they learn by running means)."""
        return torch.cat([part.get_buffer("counts") for part in self.parts])

    @property
    def sums(self) -> Float[Tensor, "codebooks codebook_size part"]:
        """m of all codebooks (only where they learn by running means)."""
        return torch.cat([part.get_buffer("sums") for part in self.parts])

    @contextmanager
    def accumulate(self) -> Iterator[None]:
        """Accumulate in every codebook."""
        with ExitStack() as stack:
            for part in self.parts:
                stack.enter_context(part.accumulate())
            yield
