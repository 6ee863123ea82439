"""The shards of ``vqvae tokenize`` as codes that a run's priors train on."""

from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from vqvae.codec.fingerprint import fingerprint
from vqvae.codes import Codes
from vqvae.config import Parts
from vqvae.data import CodesDataset, CodesHeader, CodesWriter
from vqvae.data.base import Condition
from vqvae.data.shard_format import MANIFEST
from vqvae.data.tokenized import Tokenized, TokenizedItem
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import CODES, TOKENS, load, tokenizer_digest
from vqvae.progress import Progress
from vqvae.runs.encoding import read_codes


def tokenized_codes(run: Path, folder: Path, *, level: int = 0, parts: Parts = ()) -> CodesDataset:
    """The codes of one level of a data set that ``vqvae tokenize`` encoded with this run's tokenizer. They are copied once to shards that
    can be read at random; whole ones are kept. Items that are shorter than the longest are padded.

    Args:
        run: the run folder.
        folder: the folder of ``vqvae tokenize``.
        level: the level of codes.
        parts: the caller's own configurations in the run.

    Raises:
        ConfigError: if the labels are not those of the run's codes.
        DataError: if a shard is missing or damaged, the tokenizer is another one, or items have codes of several shapes.
    """
    found, pipeline = Tokenized(folder), load(run, parts=parts)
    own = fingerprint(pipeline.tokenizer).hex()
    if found.tokenizer != own:
        raise DataError(f"{folder} has codes of the tokenizer {found.tokenizer}; that of {run} is {own}. Tokenize the data with this run.")
    if not len(found):
        raise DataError(f"{folder} has no items, so there is nothing to train on.")
    known = read_codes(run, parts=parts).held_out
    names, actions = (found.label_names, found.action_names if pipeline.layout[0].stride[0] == 1 else ())
    if (names and names != known.label_names) or (actions and actions != known.action_names):
        raise ConfigError(
            f"{folder} has the labels {list(names)[:8]} and the actions {list(actions)[:8]}; the codes of {run} have "
            f"{list(known.label_names)[:8]} and {list(known.action_names)[:8]}. Tokenize data with the same ones."
        )
    spaces = [shape[1:] for shape in found.largest()]
    header = CodesHeader.of(
        source=f"tokenizer {tokenizer_digest(run)}, tokens {found.digest}",
        layout=pipeline.layout,
        spaces=spaces,
        count=len(found),
        label_names=names,
        action_names=actions,
    )
    place = run / CODES / f"{TOKENS}{found.digest}"
    writer = CodesWriter(place, header, on_mismatch="rewrite")
    missing = list(writer.missing())
    with closing(Progress("reading codes", sum(len(shard.examples) for shard in missing))) as progress:
        for shard in missing:
            items = found.items(shard.examples.start, shard.examples.stop)
            writer.write(shard, progress.over((_padded(item, spaces, header, folder) for item in items), lambda _: 1))
    if missing or not (place / MANIFEST).is_file():
        writer.finish()
    return CodesDataset(place, source=header.source, level=level)


def _padded(item: TokenizedItem, spaces: list[tuple[int, ...]], header: CodesHeader, folder: Path) -> tuple[Codes, Condition]:
    """An item as a batch of one. Along time, codes are padded to the longest.

    Raises:
        DataError: if the item's codes have another shape along any other axis.
    """
    levels, masks = [], []
    for codes, space in zip(item.codes, spaces, strict=True):
        length = codes.shape[1]
        if codes.shape[2:] != space[1:] or (length < space[0] and len(space) == 2):
            raise DataError(
                f"{item.id} in {folder} has codes of the shape {codes.shape}; others have {(len(codes), *space)}. "
                "A prior takes codes of one shape. Tokenize pictures of one size: --size"
            )
        whole = np.zeros((1, len(codes), *space), np.int64)
        whole[0, :, :length] = codes
        levels.append(torch.from_numpy(whole))
        masks.append(
            None if length == space[0] else (torch.arange(space[0]) < length).view(1, -1, *(1,) * (len(space) - 1)).expand(1, *space)
        )
    label = torch.tensor([item.label]) if header.label_names else None
    actions = torch.from_numpy(np.asarray(item.actions, np.int64)[None]) if header.action_names else None
    return Codes(levels, masks), Condition(label, actions)
