"""60,000 grey pictures of 28×28 pixels: one command without flags, compared with a hand-written loop for the same processor time.

    python benchmarks/own_pictures.py --data FOLDER [--minutes 10] [--out docs/results]

FOLDER holds CIFAR-10 (binary version). Its pictures become grey PNG files of 28×28 pixels in train/ and test/, with a folder per class. The
command is ``vqvae train images --data PNGS --minutes N``: it trains the tokenizer and the prior, scores both and draws samples. The loop is
a typical one with vector-quantize-pytorch: the same network sizes, stride and number of codes, the quantizer's defaults, Adam. It gets as
much processor time as the training of the command's tokenizer. The same code scores both on all test pictures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

import vqvae
from vqvae.codes import perplexity
from vqvae.data import Cifar10Config
from vqvae.reports.results import this_command, write_results

SIDE, CODES, HIDDEN, BATCH = 28, 512, 128, 64


def write_pictures(path: str, folder: Path) -> dict[str, np.ndarray]:
    """Write both sides of CIFAR-10 as grey PNG files. Return their pixels (n, 28, 28), by side."""
    found = {}
    for name, side in zip(("train", "test"), Cifar10Config(path=path).build(), strict=True):
        pixels = np.empty((len(side), SIDE, SIDE), np.uint8)
        batch = side.batch(np.arange(len(side)))
        assert batch.condition.label is not None, "CIFAR-10 has labels"
        for row, (x, label) in enumerate(zip(batch.x, batch.condition.label.tolist(), strict=True)):
            grey = Image.fromarray(x.permute(1, 2, 0).numpy()).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            place = folder / name / side.label_names[label] / f"{row:05d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            grey.save(place, compress_level=1)
            pixels[row] = np.asarray(grey)
        found[name] = pixels
    return found


class Residual(nn.Module):
    """ReLU, 3×3, ReLU, 1×1, plus the input."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(HIDDEN, HIDDEN // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(HIDDEN // 2, HIDDEN, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def own_loop(pixels: np.ndarray, seconds: float) -> tuple[int, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """Train with vector-quantize-pytorch for this processor time. Return the steps, and a function to reconstruct and encode batches."""
    torch.manual_seed(0)
    encoder = nn.Sequential(
        *(nn.Conv2d(1, HIDDEN // 2, 4, 2, 1), nn.ReLU(), nn.Conv2d(HIDDEN // 2, HIDDEN, 4, 2, 1), nn.ReLU()),
        *(nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1), Residual(), Residual(), nn.ReLU(), nn.Conv2d(HIDDEN, 64, 1)),
    )
    decoder = nn.Sequential(
        *(nn.Conv2d(64, HIDDEN, 3, padding=1), Residual(), Residual(), nn.ReLU()),
        *(nn.ConvTranspose2d(HIDDEN, HIDDEN // 2, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(HIDDEN // 2, 1, 4, 2, 1)),
    )
    quantizer = VectorQuantize(dim=64, codebook_size=CODES, accept_image_fmap=True)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-4)
    train, steps, began = torch.from_numpy(pixels)[:, None], 0, time.process_time()
    while time.process_time() - began < seconds:
        x = train[torch.randint(len(train), (BATCH,))].float() / 127.5 - 1
        quantized, _, loss = quantizer(encoder(x))
        loss = loss + F.mse_loss(decoder(quantized), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    quantizer.eval()

    def reconstruct(x: Tensor) -> tuple[Tensor, Tensor]:
        quantized, codes, _ = quantizer(encoder(x.float() / 127.5 - 1))
        return ((decoder(quantized) + 1) * 127.5).round().clamp(0, 255), codes

    return steps, reconstruct


@torch.no_grad()
def score(pixels: np.ndarray, reconstruct: Callable[[Tensor], tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The mean PSNR (dB) of pictures and the perplexity of their codes."""
    counts, decibels = torch.zeros(CODES, dtype=torch.int64), []
    for x in torch.from_numpy(pixels)[:, None].split(500):
        made, codes = reconstruct(x)
        error = (made.float() - x.float()).square().flatten(1).mean(1)
        decibels.append(10 * torch.log10(255**2 / error.clamp(min=1e-6)))
        counts += torch.bincount(codes.flatten(), minlength=CODES)
    return {
        "psnr": float(torch.cat(decibels).mean()),
        "perplexity": float(perplexity(counts)),
        "codes_used": float((counts > 0).float().mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of CIFAR-10, binary version")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", help="folder for own-pictures.md and own-pictures.json")
    chosen = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder, run = Path(scratch) / "pictures", Path(scratch) / "run"
        pixels = write_pictures(chosen.data, folder)
        words = ["train", "images", "--data", str(folder), "--minutes", str(chosen.minutes), "--out", str(run)]
        before, start = os.times(), time.perf_counter()
        subprocess.run([Path(sys.executable).with_name("vqvae"), *words], check=True)
        wall, after = time.perf_counter() - start, os.times()
        command_seconds = after.children_user + after.children_system - before.children_user - before.children_system
        metrics = json.loads((run / "metrics.json").read_text())
        stages = metrics["seconds_by_stage"]
        model = vqvae.load(run)

        def reconstruct(x: Tensor) -> tuple[Tensor, Tensor]:
            codes = model.encode(x)
            assert isinstance(codes, Tensor), "one level"
            return model.decode(codes, (SIDE, SIDE)), codes

        ours = score(pixels["test"], reconstruct)
        training = command_seconds * stages["tokenizer"] / wall
        steps, own = own_loop(pixels["train"], training)
        theirs = score(pixels["test"], own)
        made = sorted(path.name for path in run.iterdir() if path.suffix in (".png", ".html"))
    rows = [
        [name, f"{one['psnr']:.2f}", f"{one['perplexity']:.0f}", f"{one['codes_used']:.1%}"]
        for name, one in (("vqvae train images", ours), ("a loop with vector-quantize-pytorch", theirs))
    ]
    write_results(
        chosen.out,
        "own-pictures",
        title="A folder of 60,000 grey pictures",
        command=this_command(),
        columns=["", "PSNR, dB", "perplexity of 512", "codes used"],
        rows=rows,
        values={
            "ours": ours,
            "theirs": theirs,
            "psnr_gain": ours["psnr"] - theirs["psnr"],
            "perplexity_ratio": ours["perplexity"] / theirs["perplexity"],
            "processor_seconds": training,
            "their_steps": steps,
            "command_wall_seconds": wall,
            "command_processor_seconds": command_seconds,
            "bits_per_code_learned": metrics.get("bits_per_code"),
            "files": made,
        },
        seconds=time.perf_counter() - began,
        notes=f"The command took {wall / 60:.1f} minutes and wrote {', '.join(made)}. Its tokenizer was trained for {training:.0f} s "
        f"of processor time, and so was the loop ({steps:,} steps of {BATCH}). Scores use all 10,000 test pictures.",
    )
    print(json.dumps({"ours": ours, "theirs": theirs, "wall": wall, "processor": training}))


if __name__ == "__main__":
    main()
