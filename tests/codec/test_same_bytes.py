"""The same codes give the same bytes whatever the processor, its threads and its libraries."""

from pathlib import Path

from tests.codec.models import prior_of
from tests.codec.same_bytes import VARIANTS, digest_of
from vqvae import storage


def test_other_instructions_threads_and_loops_change_no_byte(tmp_path: Path) -> None:
    storage.save(prior_of(codebook_size=100, num_codebooks=2, hidden=64, width=16), tmp_path / "prior")
    found = {name: digest_of(tmp_path / "prior", name) for name in ("without AVX", "without numba")}
    assert len(set(found.values())) == 1 and set(found) < set(VARIANTS), found
