"""Clips, and priors that imagine frames from actions: E10 of [VQVAE §4.4]."""

import dataclasses
from pathlib import Path

from vqvae.codes import Level
from vqvae.data import GymConfig, VideosConfig, WorldsConfig
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import FrameTokenizerConfig, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import WorldPriorConfig
from vqvae.recipes.base import Recipe, codebook, cosine, narrow
from vqvae.recipes.worlds import demo_tokenizer
from vqvae.training import TrainConfig


def worlds(path: str | None) -> TrainConfig:
    """The demo's tokenizer, frame by frame, on clips of one frame. At one tic per frame, a turn moves the picture by one column of codes,
    so most codes move along unchanged. At four tics, it moves by 4.25 columns, and the codes change."""
    base = demo_tokenizer(path)
    return dataclasses.replace(
        base,
        model=FrameTokenizerConfig(model=base.model),
        data=WorldsConfig(path=path, frame_skip=1, episodes=200, clip_length=1),
    )


def crafter(path: str | None) -> TrainConfig:
    """One code for each cell of Crafter's map. It depends only on the 8×8 pixels of the cell, so a step moves the codes by one row or
    column. Episodes end before nightfall, which hides the map. The actions are the four moves and a pause."""
    return TrainConfig(
        model=FrameTokenizerConfig(model=_by_cell()),
        data=GymConfig(
            environment="crafter",
            path=path,
            size=72,
            episodes=400,
            steps=100,
            actions=("noop", "move_left", "move_right", "move_up", "move_down"),
            persistence=0.7,
            clip_length=1,
        ),
        steps=2_500,
        batch_size=8,
        optimizer=cosine(1.5e-3, warmup_steps=50),
        evaluate_every=1_250,
    )


def clips(path: str | None) -> TrainConfig:
    """Frames of 64×64 pixels, 4×4 pixels per code, K = 512."""
    if path is None:
        raise ConfigError("The recipe 'video' trains on your own clips. Give their folder: --data FOLDER")
    return TrainConfig(
        model=FrameTokenizerConfig(model=narrow(codebook(decay=0.9, commitment_cost=1.0))),
        data=VideosConfig(path=path, size=64, clip_length=1),
        steps=10_000,
        batch_size=16,
        optimizer=cosine(1e-3),
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A prior over frames for an hour of one core, given 441 codes per frame."""
    return TrainConfig(
        model=WorldPriorConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks),
        steps=6_500,
        batch_size=8,
        optimizer=dataclasses.replace(cosine(2e-3), muon=0.02, clip_norm=1.0),
        evaluate_every=1_500,
    )


def demo(path: str | None) -> TrainConfig:
    """``worlds`` with fewer episodes."""
    config = worlds(path)
    assert isinstance(config.data, WorldsConfig), "set by worlds"
    return dataclasses.replace(config, data=dataclasses.replace(config.data, episodes=80))


def from_pictures(config: TrainConfig, run: Path) -> TrainConfig:
    """Start from a trained tokenizer of pictures, which needs few steps to fit frames."""
    return dataclasses.replace(config, start_from=str(run), steps=300, optimizer=cosine(3e-4, warmup_steps=50), evaluate_every=0)


def demo_prior(level: Level, classes: int) -> TrainConfig:
    """The same prior for five minutes of two cores."""
    config = prior(level, classes)
    return dataclasses.replace(config, steps=800, evaluate_every=400)


def crafter_prior(level: Level, classes: int) -> TrainConfig:
    """The same prior with larger batches, because a frame has fewer codes. It also has an overview, because the cell in front of the player
    decides whether the whole map moves."""
    config = prior(level, classes)
    assert isinstance(config.model, WorldPriorConfig), "set by prior"
    model = dataclasses.replace(config.model, overview=4)
    return dataclasses.replace(config, model=model, steps=5_800, batch_size=32, evaluate_every=1_500)


def _by_cell() -> VQVAEConfig:
    """The resolution is halved three times instead of twice, without overlap. Crafter has about 50 kinds of cells. With 64 codes, a kind
    keeps its code when the daylight changes. With 512, each kind has codes for many shades, and a prior loses rare kinds among them."""
    return VQVAEConfig(
        quantizer=dataclasses.replace(codebook(revive_after=50), codebook_size=64),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(widths=(64, 128, 128), residual_hidden=64, overlap=False),
        decoder=ImageDecoderConfig(widths=(128, 128, 64), residual_hidden=64),
    )


WORLDS_VIDEO = Recipe(
    name="worlds-video",
    summary="clips of a ViZDoom world to 21×21 codes per frame, and a prior that imagines frames from actions",
    paper="E10",
    cost="an hour of one core for the prior and six minutes for the tokenizer (estimated)",
    expected="docs/results/e10.md, with the tokenizer of the demo",
    tokenizer=worlds,
    prior=prior,
)
DEMO = Recipe(
    name="video-demo",
    summary="clips of a ViZDoom world to 21×21 codes per frame, and a prior that imagines frames from actions, in minutes",
    paper="E10, short",
    cost="about 12 minutes on 2 cores, rendering included (estimated)",
    expected="not measured",
    tokenizer=demo,
    prior=demo_prior,
    command="vqvae demo --modality video",
)
CRAFTER = Recipe(
    name="crafter",
    summary="72×72 frames of the game Crafter to 9×9 codes, one per cell, and a prior that imagines frames from moves",
    paper="E10, in a world of cells",
    cost="an hour of one core of a busy machine for the prior; ten minutes for playing and the tokenizer (estimated)",
    expected="docs/results/e10.md",
    tokenizer=crafter,
    prior=crafter_prior,
)
VIDEO = Recipe(
    name="video",
    summary="any folder of clips (MP4, WebM, GIF, numbered pictures) with or without actions, to 16×16 codes per frame",
    paper="the setup of E10",
    cost="about an hour for each of the two stages on 2 cores",
    expected="depends on the clips",
    tokenizer=clips,
    prior=prior,
)
