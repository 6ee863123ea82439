"""The codes of a run's data in shards: written once by its tokenizer, read by its priors."""

import time
from contextlib import closing
from pathlib import Path

import numpy as np

from vqvae import storage
from vqvae.config import Parts
from vqvae.data import CodesDataset, CodesHeader, CodesWriter, in_order
from vqvae.data.base import Splits
from vqvae.pipeline import CODES, TOKENIZER, UNIGRAM, about, load, tokenizer_digest
from vqvae.priors import UnigramPriorConfig
from vqvae.progress import Progress
from vqvae.runs.folder import found_data, record_seconds, stored_data
from vqvae.training import RunOptions
from vqvae.training.machine import pick_device

SIDES = ("train", "held-out")


def write_codes(run: Path, splits: Splits, options: RunOptions, parts: Parts = ()) -> None:
    """Encode both sides of the data to shards of codes, and count the codes. Good shards are kept."""
    began, written = time.perf_counter(), 0
    pipeline = load(run, pick_device(options.device), parts)
    for side, whole in zip(SIDES, splits, strict=True):
        dataset = whole.apart()
        # An action lies between two frames. If a code covers several frames, no single action lies between two codes.
        has_actions = pipeline.layout[0].stride[0] == 1
        header = CodesHeader.of(
            source=_source(run, side, parts),
            layout=pipeline.layout,
            spaces=[tuple(level.shape[2:]) for level in pipeline.encode_batch(dataset.batch(np.arange(1)))],
            count=len(dataset),
            label_names=dataset.label_names,
            action_names=dataset.action_names if has_actions else (),
        )
        writer = CodesWriter(run / CODES / side, header, on_mismatch="rewrite")
        missing = list(writer.missing())
        with closing(Progress(f"encoding the {side} side", sum(len(shard.examples) for shard in missing))) as progress:
            for shard in missing:
                # Several blocks at once, so that every thread has one.
                batches = in_order(dataset, 8 * pipeline.batch_size, start=shard.examples.start, stop=shard.examples.stop)
                batches = progress.over(batches, lambda batch: len(batch.x))
                pairs = ((pipeline.encode_batch(batch), batch.condition) for batch in batches)
                writer.write(shard, ((codes, given if has_actions else given._replace(actions=None)) for codes, given in pairs))
        written += len(missing)
        writer.finish()
    level, *_ = pipeline.layout
    unigram = UnigramPriorConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks).build()
    for batch in in_order(read_codes(run, parts=parts).train, 4096):
        unigram.count(batch.x, batch.mask)
    storage.save(unigram, run / UNIGRAM)
    if written:
        record_seconds(run, codes=time.perf_counter() - began)


def ensure_codes(run: Path, data: str | None = None, options: RunOptions = RunOptions(), parts: Parts = ()) -> None:
    """Write the codes of a run that has a finished tokenizer and no folder of codes, such as a copy of a model from the Hub.

    Args:
        run: the run folder.
        data: where the data of the run is now. Default: where it was in training.
        options: the device.
        parts: the caller's own configurations in the run.

    Raises:
        ConfigError: ``data`` is not the data that the run was trained on.
        VqvaeError: the data cannot be read.
    """
    if (run / CODES).exists() or not (run / TOKENIZER).is_dir():
        return
    write_codes(run, stored_data(run, parts=parts) if data is None else found_data(run, data, parts), options, parts)


def read_codes(run: Path, *, level: int = 0, parts: Parts = ()) -> Splits:
    """The codes of one level of a run's data, with the levels above as conditions.

    Raises:
        CheckpointError: if there is no tokenizer.
        DataError: if codes are missing, damaged, or from another tokenizer.
    """
    return Splits(*(CodesDataset(run / CODES / side, source=_source(run, side, parts), level=level) for side in SIDES))


def _source(run: Path, side: str, parts: Parts) -> str:
    """Identifies a tokenizer's weights and a side of its data, so that codes are never mistaken for those of another tokenizer or data."""
    card = about(run, parts)
    data = card.data if side == SIDES[0] else card.held_out_data
    return f"tokenizer {tokenizer_digest(run)}, {data}, {side}"
