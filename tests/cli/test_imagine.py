"""``vqvae imagine``, from frames on disk to a video of imagined ones."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vqvae
from vqvae import storage
from vqvae.cli.main import main
from vqvae.data import DataConfig, VideosConfig
from vqvae.errors import ConfigError, VqvaeError
from vqvae.evaluation.kinds import VIDEO, whole
from vqvae.likelihoods import GaussianConfig
from vqvae.media.video import write_video
from vqvae.models import FrameTokenizerConfig, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.pipeline import Pipeline, load
from vqvae.priors import MaskedPrior, TransformerPriorConfig, WorldPriorConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.runs.stages import train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig

NETWORK = {"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}


def write_clips(folder: Path) -> None:
    """Squares that move to the left or to the right, as frames with tracks of actions."""
    random = np.random.default_rng(0)
    for name in ("train/a", "train/b", "test/c"):
        place, lines = 4, []
        (folder / name).mkdir(parents=True)
        for time in range(14):
            pixels = np.full((16, 16, 3), 40, np.uint8)
            pixels[6:10, place : place + 4] = 200
            Image.fromarray(pixels).save(folder / name / f"{time:03d}.png")
            action = "left" if random.random() < 0.5 else "right"
            lines.append(json.dumps({"action": action}))
            place = int(np.clip(place + (2 if action == "right" else -2), 0, 12))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of clips, trained for a few steps."""
    folder = tmp_path_factory.mktemp("imagine")
    write_clips(folder / "clips")
    data = VideosConfig(path=str(folder / "clips"), size=16, clip_length=1, frame_rate=5)
    return train_clips(data, folder / "run", actions=2)


def train_clips(data: DataConfig, place: Path, actions: int) -> Path:
    """Train a tokenizer of single frames and a prior over them for a few steps."""
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(**NETWORK),
        decoder=ImageDecoderConfig(**NETWORK),
    )
    options = RunOptions(device="cpu", estimate=False)
    config = TrainConfig(model=FrameTokenizerConfig(model=model), data=data, steps=3, batch_size=4, evaluate_every=0)
    train_tokenizer(config, options, place, recipe="own", scored=False)
    small = {"memory": 4, "width": 4, "blocks": 1, "layers": 1, "hidden": 4, "output_hidden": 4, "reach": 1}
    prior = WorldPriorConfig(codebook_size=8, actions=actions, clip_length=4, **small)
    train_prior(TrainConfig(model=prior, steps=3, batch_size=2, evaluate_every=0), options, place)
    return place


def test_a_run_of_clips_is_scored(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["frames"] == 14 and metrics["bits_per_frame"] == pytest.approx(16 * metrics["bits_per_code"])
    assert {"psnr", "flicker", "bits_per_frame_unigram"} <= metrics.keys()
    assert (run / "imagined.png").is_file() and (run / "report.html").is_file()


def test_a_masked_prior_is_trained_and_imagines(run: Path, tmp_path: Path) -> None:
    small = ["--model.memory", "4", "--model.width", "4", "--model.blocks", "1", "--model.depth", "1", "--model.channels", "4"]
    words = ["--model", "masked", "--name", "masked", "--steps", "2", "--batch-size", "2", "--device", "cpu", "--no-estimate"]
    assert main(["train-prior", str(run), *words, *small]) == 0
    prior = load(run, prior="masked").prior
    assert isinstance(prior, MaskedPrior) and (prior.actions, prior.clip_length, prior.config.passes) == (2, 4, 8)
    out = tmp_path / "rollout.npy"
    words = ["--prior-name", "masked", "--action", "left", "--frames", "3", "--device", "cpu", "--out", str(out)]
    assert main(["imagine", str(run), *words]) == 0
    assert np.load(out, allow_pickle=False).shape == (9, 3, 16, 16)


def test_rollouts_are_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rollout.npy"
    words = ["imagine", str(run), "--action", "left", "--frames", "5", "--context", "6", "--seed", "1", "--device", "cpu"]
    assert main([*words, "--out", str(out)]) == 0
    frames = np.load(out, allow_pickle=False)
    assert frames.shape == (11, 3, 16, 16) and frames.dtype == np.uint8
    with Image.open(run.parent / "clips" / "test" / "c" / "005.png") as image:
        assert np.array_equal(frames[5], np.asarray(image).transpose(2, 0, 1)), "the known frames come first"
    assert "5 imagined frames after 6 known frames" in capsys.readouterr().err
    assert main([*words, "--no-known", "--count", "2", "--out", str(tmp_path / "two.npy")]) == 0
    first, second = (np.load(tmp_path / f"two-{i}.npy", allow_pickle=False) for i in range(2))
    assert np.array_equal(first, frames[6:]) and first.shape == second.shape
    assert main([*words, "--out", str(tmp_path / "rollout.gif")]) == 0
    with Image.open(tmp_path / "rollout.gif") as image:
        assert image.size == (16, 16)


def test_another_prior_imagines(run: Path, tmp_path: Path) -> None:
    words = ["train-prior", str(run), "--name", "other", "--prior", "transformer", "--model.depth", "1", "--model.dim", "8"]
    assert main([*words, "--steps", "2", "--batch-size", "2", "--device", "cpu"]) == 0
    stored = storage.read(run / "priors" / "other").config
    assert isinstance(stored, TransformerPriorConfig) and (stored.actions, stored.clip_length, stored.dim) == (2, 4, 8)
    words = ["imagine", str(run), "--prior-name", "other", "--action", "left", "--frames", "2", "--context", "3", "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "out.npy")]) == 0
    assert np.load(tmp_path / "out.npy", allow_pickle=False).shape == (5, 3, 16, 16)


def test_it_starts_from_a_file_and_follows_a_plan(run: Path, tmp_path: Path) -> None:
    start = _rollout(run, tmp_path / "start.npy", "--frames", "6", "--action", "right")
    (tmp_path / "plan.txt").write_text('\ufeffleft\n{"action": "right"}\n"1"\n')
    options = ["--start", str(start), "--frames", "3", "--context", "2"]
    plan = _rollout(run, tmp_path / "a.npy", *options, "--actions", str(tmp_path / "plan.txt"))
    listed = _rollout(run, tmp_path / "b.npy", *options, "--action", "left", "right", "right")
    assert np.array_equal(np.load(plan), np.load(listed)) and np.load(plan).shape == (5, 3, 16, 16)


def test_python_imagines_too(run: Path) -> None:
    model = vqvae.load(run)
    clip = np.zeros((3, 4, 16, 16), np.uint8)
    made = model.imagine(clip, ["left"] * 3, before=["right", "left", "left"], count=2, seed=4)
    assert made.shape == (2, 3, 3, 16, 16)
    assert made.equal(model.imagine(clip, ["left"] * 3, before=["right", "left", "left"], count=2, seed=4))


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_python_refuses_a_wrong_count(run: Path, count: object) -> None:
    with pytest.raises(ConfigError, match="count is .*; it must be a whole number, at least 1"):
        inspect.unwrap(Pipeline.imagine)(vqvae.load(run), np.zeros((3, 4, 16, 16), np.uint8), ["left"], count=count)


@pytest.mark.parametrize(
    ("size", "arguments", "words"),
    [
        ((4, 16, 16), {"steps": True}, "steps is True; it must be a whole number"),
        ((4, 16, 16), {"steps": -1}, "steps is -1; it must be a whole number"),
        ((4, 16, 16), {"top_p": True}, "top_p is True; it must be a number"),
        ((4, 16, 16), {"actions": None}, "There are 0 actions for 0 frames"),
        ((4, 16, 16), {"actions": torch.ones(1, 1, dtype=torch.bool)}, "expected integers"),
        ((4, 16, 16), {"actions": torch.ones(1, 1, dtype=torch.complex64)}, "expected integers"),
        ((4, 12, 20), {}, "frames of 12 x 20 pixels; this model was trained on 16 x 16"),
        ((0, 16, 16), {}, "has no frames"),
    ],
)
def test_python_says_what_is_wrong(run: Path, size: tuple[int, ...], arguments: dict[str, object], words: str) -> None:
    with pytest.raises(VqvaeError, match=words):
        inspect.unwrap(Pipeline.imagine)(vqvae.load(run), np.zeros((3, *size), np.uint8), **{"actions": ["left"], **arguments})


def test_a_number_alone_is_one_action(run: Path) -> None:
    model, clip = vqvae.load(run), np.zeros((3, 4, 16, 16), np.uint8)
    assert model.imagine(clip, 1).equal(model.imagine(clip, ["right"]))


def test_the_start_is_never_replaced(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = _rollout(run, tmp_path / "start.npy", "--frames", "6")
    before = start.read_bytes()
    assert main(["imagine", str(run), "--start", str(start), "--out", str(start), "--overwrite", "--device", "cpu"]) == 1
    assert "is the input" in capsys.readouterr().err and start.read_bytes() == before


def test_a_start_is_read_at_the_frame_rate_of_the_model(run: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16), np.uint8).repeat(16, axis=0)
    frames[::2] //= 2
    write_video(tmp_path / "fast.gif", frames, 10)
    write_video(tmp_path / "near.gif", frames, 5.1)
    read = {name: VIDEO.read(tmp_path / f"{name}.gif", load(run).signal) for name in ("fast", "near")}
    assert {name: whole(clips).shape[2] for name, clips in read.items()} == {"fast": 8, "near": 16}, "the model has 5 frames per second"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--action", "jump"], "There is no action 'jump'; the actions are left, right"),
        (["--action", "left", "right"], "2 actions were given for 10 frames"),
        (["--start", "7"], "1 held-out episode of 14 to 14 frames"),
        (["--at", "12"], "needs an episode of 18 frames"),
        (["--frames", "0"], "must be at least 1"),
        (["--start", "missing.mp4"], "missing.mp4"),
        (["--actions", "missing.txt"], "missing.txt"),
        (["--out", "", "--count", "2"], "--out is '.'; expected a file that ends in .mp4"),
        (["--out", "/", "--count", "2"], "expected a file that ends in .mp4"),
        (["--frame-rate", "0"], "--frame-rate is 0; it must be above 0"),
        (["--count", "2147483647"], "GiB of memory"),
        (["--frames", "2147483647"], "GiB of memory"),
        (["--start", "9" * 5000], "too long"),
        (["--action", "9" * 5000], "There is no action"),
    ],
)
def test_wrong_use_is_one_clear_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert main(["imagine", str(run), "--out", str(tmp_path / "x.gif"), *options]) == 1
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said and not list(tmp_path.iterdir())


def test_frames_of_another_size_are_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "clip.npy", np.zeros((3, 8, 12, 20), np.uint8))
    assert main(["imagine", str(run), "--start", str(tmp_path / "clip.npy"), "--out", str(tmp_path / "x.gif")]) == 1
    assert "frames of 12 x 20 pixels; this model was trained on 16 x 16" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((2, 3, 8, 16, 16), np.uint8, "has 2 clips; expected one"),
        ((3, 4, 16, 16), np.uint8, "has too few frames (4); --context and --at need 6"),
        ((3, 8, 16, 16), np.float32, "Convert it to whole numbers"),
    ],
)
def test_a_start_that_is_not_one_long_clip_of_levels_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: tuple[int, ...], dtype: type, words: str
) -> None:
    np.save(tmp_path / "clip.npy", np.zeros(shape, dtype))
    assert main(["imagine", str(run), "--start", str(tmp_path / "clip.npy"), "--out", str(tmp_path / "x.gif")]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "x.gif").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "plan.txt has no actions"),
        ("\n \n", "plan.txt has no actions"),
        ('left\n{"action": "le', "plan.txt, line 2, is not valid JSON"),
        ('{"action": null}', "plan.txt, line 1, is"),
        ('left\n{"move": "left"}', "plan.txt, line 2, is"),
        ('["left", "right"]', "plan.txt, line 1, is"),
        ('{"action": true}', "plan.txt, line 1, is"),
        ("left\njump", "plan.txt: There is no action 'jump'; the actions are left, right"),
    ],
)
def test_a_damaged_plan_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    (tmp_path / "plan.txt").write_text(text)
    assert main(["imagine", str(run), "--actions", str(tmp_path / "plan.txt"), "--frames", "2", "--out", str(tmp_path / "x.gif")]) == 1
    assert words in capsys.readouterr().err and not (tmp_path / "x.gif").exists()


def test_a_missing_plan_is_named_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["imagine", str(run), "--actions", str(tmp_path / "none.txt"), "--out", str(tmp_path / "x.gif")]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "none.txt cannot be read" in said and "is not text" not in said


def _rollout(run: Path, out: Path, *options: str) -> Path:
    assert main(["imagine", str(run), "--out", str(out), "--device", "cpu", *options]) == 0
    return out
