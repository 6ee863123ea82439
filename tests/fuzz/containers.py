"""``python -m tests.fuzz.containers [--count N] [--seed S]``: damaged compressed files.

Each must be decompressed or end in a BitstreamError, within two seconds and without much memory. In half of them the checksums are right
for what was damaged, as a hostile writer would make them.
"""

import argparse
import faulthandler
import io
import random
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

import torch

from tests.codec.models import prior_of
from tests.fuzz.payloads import MEBIBYTES, SECONDS, damaged
from tests.fuzz.results import add
from tests.models.test_base import make as make_levels
from tests.models.test_speech import make as make_speech
from tests.pipeline.test_model import images, tokenizer
from vqvae.codec.container import MODES, frame, read_header, read_sections
from vqvae.errors import BitstreamError
from vqvae.models import FrameTokenizer
from vqvae.pipeline import Pipeline
from vqvae.signals import sound

SHORTEST, MOST_SECTIONS = 28, 64
"""Bytes of a header without a body, and sections that ``sealed`` follows."""


def subjects() -> list[tuple[Pipeline, bytes]]:
    """Models with files that they wrote: pictures, sound and clips in every mode, and pictures with two levels of codes."""
    names, voices = ("a", "b", "c"), ("she", "he")
    pictures = Pipeline(tokenizer(), integers=[prior_of(codebook_size=5, classes=3)], label_names=names)
    speech = make_speech("spectral")
    said = Pipeline(speech, integers=[prior_of(codebook_size=8, axes=1)], label_names=voices, signal=sound(16_000))
    clips = Pipeline(FrameTokenizer(tokenizer()), integers=[prior_of(codebook_size=5, axes=3)])
    wave, clip = torch.linspace(-0.5, 0.5, 700)[None, None], images(3, 9, 13).transpose(0, 1)[None]
    found = [(pictures, pictures.compress(images(1, 30, 26), mode=mode, label="b")) for mode in MODES]
    found += [(said, said.compress(wave, mode=mode, label="he")) for mode in MODES]
    found += [(clips, clips.compress(clip, mode=mode)) for mode in MODES]
    levels = Pipeline(make_levels())
    return [*found, (levels, levels.compress(images(1, 9, 6)))]


def is_refused(model: Pipeline, data: bytes) -> bool:
    """Whether decompressing ends in a BitstreamError, not in one example. Other errors pass."""
    try:
        assert model.decompress(data, speaker="she" if model.speakers else None).shape[0] == 1
    except BitstreamError:
        return True
    return False


def sealed(data: bytes) -> bytes:
    """The file with right checksums, as far as its lengths can be followed: a hostile writer can make them."""
    length = struct.unpack_from("<H", data, 5)[0] if len(data) >= SHORTEST else 0
    if not SHORTEST <= length <= len(data):
        return data
    made, checksum = bytearray(data), zlib.crc32(data[: length - 4])
    struct.pack_into("<I", made, length - 4, checksum)
    at = length
    for number in range(MOST_SECTIONS):
        start = next((place + 1 for place in range(at + 1, min(at + 6, len(data))) if data[place] < 128), len(data))
        end = start + sum((byte & 127) << 7 * place for place, byte in enumerate(data[at + 1 : start]))
        if end + 4 > len(data) or data[at] >= len(MODES):
            break
        section = frame(MODES[data[at]], data[start:end], number, checksum)
        made[end : end + 4] = section[-4:]
        at = end + 4
    return bytes(made)


def forged(data: bytes, draws: random.Random) -> bytes:
    """The file with a damaged header or payload and right checksums."""
    file = io.BytesIO(data)
    header, checksum = read_header(file, "")
    payloads = [(mode, payload) for _, mode, payload in read_sections(file, header, checksum, "")]
    start = data[: struct.unpack_from("<H", data, 5)[0] - 4]
    if draws.random() < 0.7:
        body = damaged(start[24:], draws) if draws.random() < 0.5 else _nudged(start[24:], draws)
        start = start[:5] + struct.pack("<H", (24 + len(body) + 4) % 2**16) + start[7:24] + body
    else:
        which = draws.randrange(len(payloads))
        mode, payload = payloads[which]
        payloads[which] = (draws.choice([mode, mode, "packed", "prior"]), damaged(payload, draws))
    checksum = zlib.crc32(start)
    return start + struct.pack("<I", checksum) + b"".join(frame(*section, number, checksum) for number, section in enumerate(payloads))


def _nudged(body: bytes, draws: random.Random) -> bytes:
    """Fields with another number of one byte, or a large one."""
    at = draws.randrange(len(body))
    return body[:at] + draws.choice([bytes([draws.randrange(128)]), b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x20"]) + body[at + 1 :]


def main() -> int:
    """Decompress, and count what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.containers", description="Damaged compressed files.")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a folder of results, to add these to its fuzzing.md and fuzzing.json")
    chosen, start = parser.parse_args(), time.monotonic()
    found = subjects()
    for model, data in found:  # Compiles.
        model.decompress(data)
    before, slowest, errors = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0.0, 0
    for number in range(chosen.count):
        draws = random.Random(f"{chosen.seed} {number}")
        model, data = draws.choice(found)
        data = damaged(data, draws) if number % 2 else forged(data, draws)
        began = time.process_time()
        faulthandler.dump_traceback_later(60, exit=True)
        try:
            errors += is_refused(model, data)
        except BaseException:
            print(f"case {number} of seed {chosen.seed}", file=sys.stderr)
            raise
        slowest = max(slowest, time.process_time() - began)
    faulthandler.cancel_dump_traceback_later()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{chosen.count} files: {errors} errors, the slowest {slowest:.3f} s, {more:.0f} MiB more memory")
    faults = int(slowest > SECONDS) + int(more > MEBIBYTES)
    if chosen.out is not None:
        add(chosen.out, "tests.fuzz.containers", "compressed files", f"seed {chosen.seed}", chosen.count, faults, time.monotonic() - start)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
