"""What ``vqvae COMMAND --help`` shows: usage, examples, and the flags that most people need. Nothing heavy is imported for it."""

import textwrap
from typing import NamedTuple

WIDTH = 110
"""Characters a line at most."""


class Page(NamedTuple):
    """The short help of one command."""

    usage: str
    """What follows ``vqvae COMMAND``."""
    about: str
    """What the command does."""
    examples: tuple[str, ...]
    """What follows ``vqvae COMMAND`` in each."""
    arguments: tuple[tuple[str, str], ...]
    """Words and flags with their values, and what each means. The most needed come first."""
    more: str = ""
    """What to say at the end."""


_RUN = ("RUN", "The run folder, or hf:OWNER/NAME for a model on the Hugging Face Hub.")
_DEVICE = ("--device NAME", 'Where to compute: "cpu", "cuda", "cuda:1", "mps". Default: the GPU if there is one.')
_SEED = ("--seed N", "The same seed gives the same result. Default: 0.")
_JSON = ("--json", "Print one JSON object.")
_CHECKPOINT = ("--checkpoint best|STEP", "Use this checkpoint of the tokenizer instead of the finished one.")
_OVERWRITE = ("--overwrite", "Replace existing files.")
_BOUNDS = ("--bounds LOW HIGH", "The range of float data. Default: as in training.")
_ANY = "Any setting is a flag: --model.quantizer.codebook-size 1024. Name another kind of part with --model.quantizer fsq."

PAGES = {
    "train": Page(
        "RECIPE --data PATH [--out RUN] [flags]",
        "Train a tokenizer and a prior on your data. After a stop, the same command continues.",
        (
            "images --data photos",
            "images --data photos --minutes 10",
            "images --data photos --data.size 128 --steps 5000 --out runs/photos",
            "speech --data recordings",
            "video --data clips",
            "arrays --data x.npz",
            "--settings settings.json --data photos",
        ),
        (
            ("RECIPE", "What to train, such as images. 'vqvae recipes' lists all recipes. A settings file NAME.json works too."),
            (
                "--data PATH",
                "A folder of pictures, recordings or clips, or a file of arrays. test/ is held out; folders are classes or speakers.",
            ),
            ("--out RUN", "The run folder: models, scores, report. Default: runs/RECIPE."),
            ("--minutes N", "Train for about this long in all. A short measurement turns minutes into steps."),
            ("--steps N", "Training steps of the tokenizer, and no prior. More steps than before continue a finished training."),
            (
                "--prior auto|yes|no|KIND",
                "Train the prior too? KIND: pixelcnn, wavenet, world, masked, transformer. Default: auto, which is yes without --steps.",
            ),
            ("--batch-size N", "Examples per step. The default depends on the recipe."),
            ("--model.quantizer KIND", "The kind of quantizer: vector, ema, product, residual, fsq, identity."),
            ("--data.size N", "Height and width of pictures, in pixels."),
            _SEED,
            _DEVICE,
            ("--settings FILE", "Start from a settings file instead of a recipe. 'vqvae info RUN --settings' prints one."),
        ),
        _ANY,
    ),
    "train-prior": Page(
        "RUN [flags]",
        "Train a prior over the codes of a run. The prior draws new data. After a stop, the same command continues.",
        ("runs/photos", "runs/photos --steps 5000 --batch-size 64", "runs/voices --prior wavenet"),
        (
            ("RUN", "A run folder with a trained tokenizer."),
            ("--name NAME", "A name for this prior, if the run gets several."),
            ("--minutes N", "Train for about this long. A short measurement turns minutes into steps."),
            ("--steps N", "Training steps. The default depends on the recipe."),
            ("--batch-size N", "Examples per step. The default depends on the recipe."),
            ("--optimizer.learning-rate X", "The step size of Adam."),
            ("--prior KIND", "The kind of prior: pixelcnn, wavenet, world, masked, transformer."),
            ("--model.layers N", "Layers of the prior."),
            ("--model.hidden N", "Channels of each layer of a PixelCNN."),
            _SEED,
            _DEVICE,
            ("--settings FILE", "Start from a settings file. 'vqvae info RUN --settings --part prior' prints one."),
        ),
        _ANY.replace("quantizer.codebook-size 1024", "kernel 3").replace("--model.quantizer fsq", "--prior wavenet"),
    ),
    "demo": Page(
        "[--modality images|speech|video] [flags]",
        "Make data on the spot, train a tokenizer and a prior, score both, and draw samples. It takes minutes.",
        ("", "--modality speech --out runs/voices", "--modality video"),
        (
            ("--modality NAME", '"images": frames of a game world. "speech": a synthesizer\'s sentences. "video": clips with actions.'),
            ("--out RUN", "The run folder. Default: runs/demo, runs/demo-speech or runs/demo-video."),
            ("--data FOLDER", "Images and video: where frames are kept. Speech: your own recordings to train on."),
            ("--minutes N", "Train for about this long in all."),
            ("--steps N", "Training steps of each stage."),
            ("--prior KIND", "The kind of prior: pixelcnn, wavenet, world, masked, transformer. The default depends on the modality."),
            _SEED,
            _DEVICE,
            _JSON,
        ),
    ),
    "train-coder": Page(
        "RUN",
        "Train the entropy coder of a run on its codes, for the smallest compressed files. 'vqvae train' does this at its end.",
        ("runs/photos",),
        (("RUN", "A run folder with a trained tokenizer and its codes."), _JSON),
        "A finished coder is kept, because the files that it compressed need it.",
    ),
    "evaluate": Page(
        "RUN [--data FOLDER] [flags]",
        "Score a run on held-out data and write its report.",
        ("runs/photos", "runs/photos --data other-photos --json"),
        (
            _RUN,
            ("--data FOLDER", "Score on other data of the same kind. The run folder does not change."),
            _BOUNDS,
            ("--phones FILE", "Phone alignments of the recordings, as .jsonl or TextGrid."),
            _CHECKPOINT,
            _JSON,
            _DEVICE,
        ),
    ),
    "reconstruct": Page(
        "RUN FILE... --out FOLDER [flags]",
        "Encode files to codes, decode the codes, and write what comes out.",
        ("runs/photos cat.jpg dog.png --out out", "runs/voices talk.wav --out out --speaker 3"),
        (
            _RUN,
            ("FILE...", "Pictures of any size, recordings of any length, or arrays."),
            ("--out FOLDER", "Where the reconstructions go."),
            ("--speaker NAME", "Whose voice speaks, by name or number."),
            _BOUNDS,
            _CHECKPOINT,
            _OVERWRITE,
            _JSON,
            _DEVICE,
        ),
    ),
    "encode": Page(
        "RUN FILE|FOLDER... --out FILE [flags]",
        "Write the codes of files as tokens, with their names and shapes.",
        ("runs/photos photos --out tokens.npz", "runs/photos photos --out tokens.parquet --offset 32000"),
        (
            _RUN,
            ("FILE|FOLDER...", "Files, or folders of files, of the kind that the model was trained on."),
            ("--out FILE", "Where the tokens go: NAME.npz, NAME.jsonl or NAME.parquet."),
            ("--offset N", "The first token in another vocabulary. Default: tokens are codes."),
            _BOUNDS,
            ("--skip-bad", "List files that cannot be read and continue without them."),
            _CHECKPOINT,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "decode": Page(
        "RUN TOKENS... --out FOLDER [flags]",
        "Turn the tokens of 'vqvae encode' back into files.",
        ("runs/photos tokens.npz --out out",),
        (
            _RUN,
            ("TOKENS...", "Files from 'vqvae encode'."),
            ("--out FOLDER", "Where the files go."),
            ("--speaker NAME", "Whose voice speaks, by name or number."),
            _CHECKPOINT,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "compress": Page(
        "RUN FILE... --out FOLDER [flags]",
        "Compress files. 'vqvae decompress' with the same run restores them.",
        ("runs/photos cat.jpg dog.png --out small", "runs/voices talk.wav --out small --mode static"),
        (
            _RUN,
            ("FILE...", "Pictures of any size, recordings of any length, clips, or arrays."),
            ("--out FOLDER", "Where the compressed files go, as NAME.vqz."),
            ("--mode NAME", '"prior": smallest. "static": faster. "packed": fastest. Default: the best that the run has.'),
            ("--label NAME", "The speaker or the class, by name or number. The file stores it."),
            _BOUNDS,
            _CHECKPOINT,
            _OVERWRITE,
            _JSON,
            _DEVICE,
        ),
    ),
    "decompress": Page(
        "RUN FILE.vqz... --out FOLDER [flags]",
        "Restore the files that 'vqvae compress' wrote.",
        ("runs/photos small/cat.vqz --out restored", "runs/voices small/talk.vqz --out restored --speaker 3"),
        (
            ("RUN", "The run folder that compressed the files."),
            ("FILE.vqz...", "Files from 'vqvae compress'."),
            ("--out FOLDER", "Where the restored files go, as PNG, WAV, MP4 or NPY."),
            ("--speaker NAME", "Whose voice speaks, by name or number. Default: the speaker that the file names."),
            _CHECKPOINT,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "push": Page(
        "RUN OWNER/NAME [flags]",
        "Upload a run to the Hugging Face Hub: weights as safetensors, settings, scores and a model card.",
        ("runs/photos alice/photos --private", "runs/photos alice/photos --license apache-2.0"),
        (
            _RUN,
            ("OWNER/NAME", "The model on the Hub. It is created if there is none."),
            ("--private", "Make a new model visible only to its owner."),
            ("--license NAME", "The licence that the model card names, such as apache-2.0 or cc-by-4.0."),
        ),
        "Log in first: hf auth login, or set HF_TOKEN.",
    ),
    "export": Page(
        "RUN --out FOLDER [flags]",
        "Write the encoder with its quantizer, and the decoder, as programs that run without vqvae.",
        ("runs/photos --out exported", "runs/photos --format pt2 --out exported"),
        (
            _RUN,
            ("--out FOLDER", "Where the programs and their description go."),
            ("--format onnx|pt2", "ONNX, or a program of torch.export. Default: onnx."),
            ("--encoder-only", "Write no decoder."),
            _OVERWRITE,
        ),
    ),
    "compare": Page(
        "RUN RUN... [flags]",
        "Print the scores of several runs as a table, and write a page with their pictures side by side.",
        ("runs/small runs/large", "runs/small runs/large --out comparison.html"),
        (
            ("RUN RUN...", "Two run folders or more."),
            ("--out FILE", "The page. Default: comparison.html."),
            _OVERWRITE,
            _JSON,
        ),
    ),
    "bench": Page(
        "codec FOLDER --runs RUN... [flags]",
        "Measure the rate and the distortion of compressed files, beside JPEG, WebP and AVIF, or beside Opus.",
        ("codec test-photos --runs runs/photos", "codec test-speech --runs runs/small runs/large --speaker 3 --out results"),
        (
            ("FOLDER", "Pictures or recordings that no run was trained on."),
            ("--runs RUN...", "The runs to measure, all with the same kind of data."),
            ("--out FOLDER", "Where the table, its numbers and the charts go. Default: rate-distortion."),
            ("--count N", "Number of files, spread over the folder. Default: 32."),
            ("--speaker NAME", "Whose voice speaks, by name or number."),
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "convert": Page(
        "RUN FILE --speaker NAME --out FILE [flags]",
        "Say a recording in another voice.",
        ("runs/voices talk.wav --speaker p228 --out out.wav", "runs/voices talk.wav --all-speakers --out out"),
        (
            ("RUN", "The run folder of a speech model with speakers."),
            ("FILE", "A recording of any length by any speaker."),
            ("--speaker NAME", "Whose voice speaks, by name or number."),
            ("--all-speakers", "Write one file for each voice. --out is a folder then."),
            ("--out FILE", "The WAV or FLAC file to write."),
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "sample": Page(
        "RUN --out FOLDER [flags]",
        "Draw new pictures, recordings or arrays.",
        ("runs/photos --out samples --count 64", "runs/photos --out samples.png --label cat --temperature 0.9"),
        (
            ("RUN", "A run folder with a trained prior."),
            ("--out FOLDER", "A folder for one file per sample, or NAME.png for one picture, or NAME.npy for one array."),
            ("--count N", "How many samples. Default: 16."),
            ("--label NAME", "A class or speaker, by name or number."),
            ("--seconds X", "How long each sample lasts. Default: as long as a training example."),
            ("--temperature X", "Below 1, likely codes become more likely. Default: 1."),
            ("--top-k N", "Draw only from the N most likely codes."),
            _SEED,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "imagine": Page(
        "RUN --out FILE [flags]",
        "Imagine what follows a few frames of video, given actions.",
        (
            "runs/worlds-video --action forward --out rollout.gif",
            "runs/worlds-video --start clip.mp4 --action left --frames 20 --out out.mp4",
        ),
        (
            ("RUN", "A run folder with a trained prior over frames."),
            ("--out FILE", "NAME.gif, NAME.mp4, NAME.webm, NAME.png (a strip of frames) or NAME.npy."),
            ("--start FILE|N", "A video to start from, or the number of a held-out episode. Default: 0."),
            ("--at N", "The first frame to use. Default: 0."),
            ("--action NAME ...", "The action to hold, or one action per frame."),
            ("--actions FILE", "A file with one action per line."),
            ("--frames N", "Frames to imagine. Default: 10."),
            ("--count N", "Several rollouts from one start. Default: 1."),
            _SEED,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "info": Page(
        "RUN [flags]",
        "Show what a run is, what it was trained on, and its scores.",
        ("runs/photos", "runs/photos --settings > settings.json"),
        (
            _RUN,
            ("--settings", "Print the settings as a file that 'vqvae train --settings' reads."),
            ("--part NAME", "Whose settings: tokenizer or prior. Default: tokenizer."),
            _JSON,
        ),
    ),
    "reproduce": Page(
        "EXPERIMENT [flags]",
        "Train and score an experiment of the paper, and write its table.",
        ("e1", "e2 --scale paper --data imagenet"),
        (
            ("EXPERIMENT", "e1 to e11."),
            ("--data FOLDER", "The data, if the experiment does not download or make it."),
            ("--scale NAME", '"cpu" fits two CPU cores. "paper" has the sizes of the paper and needs a GPU. Default: cpu.'),
            ("--out FOLDER", "Where the table goes. Default: docs/results."),
            ("--runs FOLDER", "Where the run folders go. Default: runs."),
            _DEVICE,
        ),
    ),
    "recipes": Page("[--json]", "List what can be trained, with its source and its cost.", ("",), (_JSON,)),
}
"""The page of each command."""


def short_help(command: str) -> str:
    """The short help of a command, with a final line that names the full one."""
    page = PAGES[command]
    width = max(len(words) for words, _ in page.arguments)
    lines = [f"usage: vqvae {command} {page.usage}".rstrip(), "", page.about, "", "Examples:"]
    lines += [f"  vqvae {command} {example}".rstrip() for example in page.examples]
    lines += ["", "Arguments:"]
    for words, meaning in page.arguments:
        first, *rest = textwrap.wrap(meaning, WIDTH - width - 4)
        lines += [f"  {words:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in rest)]
    last = f"vqvae {command} --help-all lists every flag. A switch such as --json is turned off by --no-json."
    return "\n".join([*lines, "", *([page.more] if page.more else []), last])
