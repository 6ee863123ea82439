"""Train the entropy coders of a run on its codes, after the priors."""

import time
from pathlib import Path

from vqvae import distributed, storage
from vqvae.codec.coders import PARTS, coder_folder
from vqvae.codec.fitting import FitConfig, fit
from vqvae.codec.integer import LARGEST_CODEBOOK, IntegerPriorConfig
from vqvae.codes import Level
from vqvae.config import Parts
from vqvae.data import CodesDataset
from vqvae.disk import exists
from vqvae.errors import CheckpointError
from vqvae.pipeline import about, fits_codes, tokenizer_digest
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import read_metrics, record_seconds, update_metrics
from vqvae.storage import RunCard
from vqvae.training.checkpoint import check_run_folder, only_writer

BITS, BITS_FLOAT = "bits_per_code_coder", "bits_per_code_coder_float"
"""Scores on the card of a coder: bits per held-out code, with its integer weights and with the floats before rounding."""
BESIDE = ("bits_per_code", "bits_per_code_unigram")


def train_coder(run: Path, options: FitConfig = FitConfig(), parts: Parts = ()) -> dict[str, float]:
    """Train the entropy coder of each level that has none, or one of other codes. Write it to ``RUN/coder``.

    A finished coder is kept, because the files that it compressed need it. After a kill, the same call gives the same coder.

    Args:
        run: a run folder with a tokenizer and its codes.
        options: how to train.
        parts: the caller's own configurations in the run.

    Returns:
        Bits per held-out code over all levels, and those of the run's priors if they are known.

    Raises:
        CheckpointError: if there is no tokenizer.
        DataError: if codes are missing or damaged.
    """
    check_run_folder(run)
    tokenizer_digest(run)
    with only_writer(run):
        began, layout = time.perf_counter(), about(run, parts).layout
        trained = [_train_level(run, layout, number, options, parts) for number in range(len(layout)) if not _is_done(run, number)]
        cards = [storage.read(coder_folder(run, number), PARTS).card.metrics for number in range(len(layout))]
        codes = sum(card["codes"] for card in cards)
        scores = {BITS: sum(card[BITS] * card["codes"] for card in cards) / max(codes, 1)}
        if trained:
            record_seconds(run, coder=time.perf_counter() - began)
        if read_metrics(run).get(BITS) != scores[BITS]:  # Also after a kill between the two files.
            update_metrics(run, scores)
        beside = {name: bits for name, bits in read_metrics(run).items() if name in BESIDE and bits is not None}
    return scores | beside


def fit_if_missing(run: Path, parts: Parts = ()) -> None:
    """Train the missing coders of a run. Of several processes, only the first does this.

    Raises:
        CheckpointError, DataError: see ``train_coder``.
    """
    if distributed.is_main() and not all(_is_done(run, number) for number in range(len(about(run, parts).layout))):
        train_coder(run, parts=parts)


def config_of(codes: CodesDataset, layout: tuple[Level, ...], level: int) -> IntegerPriorConfig:
    """The configuration of the coder of a level."""
    own, above = codes.header.levels[level], codes.header.levels[:level]
    return IntegerPriorConfig(
        codebook_size=own.codebook_size,
        num_codebooks=own.num_codebooks,
        axes=len(own.space),
        above_sizes=tuple(one.codebook_size for one in above),
        above_codebooks=tuple(one.num_codebooks for one in above),
        strides=tuple(one.stride for one in layout[: level + 1]) if level else (),
        classes=len(codes.label_names),
        actions=len(codes.action_names),
        hidden=IntegerPriorConfig.hidden if 1 < own.codebook_size <= LARGEST_CODEBOOK else 0,
    )


def _is_done(run: Path, level: int) -> bool:
    """Whether a level has a coder that was trained on its codes."""
    folder = coder_folder(run, level)
    if not exists(folder):
        return False
    try:
        return fits_codes(run, storage.read(folder, PARTS).card, level)
    except CheckpointError:
        return False


def _train_level(run: Path, layout: tuple[Level, ...], level: int, options: FitConfig, parts: Parts) -> RunCard:
    train, held_out = read_codes(run, level=level, parts=parts)
    assert isinstance(train, CodesDataset)
    fitted = fit(train, held_out, config_of(train, layout, level), options)
    scores = {BITS: fitted.bits, BITS_FLOAT: fitted.bits_float, "codes": float(fitted.codes)}
    card = RunCard(layout=(layout[level],), signal=train.signal, data=train.name, held_out_data=held_out.name, metrics=scores)
    storage.save(fitted.prior, coder_folder(run, level), card)
    return card
