"""The text of ``vqvae COMMAND --help``: usage, examples, and the flags that most people need. It needs no slow imports."""

from typing import NamedTuple


class Page(NamedTuple):
    """The short help of one command."""

    usage: str
    """The arguments, after ``vqvae COMMAND``."""
    about: str
    """What the command does."""
    examples: tuple[str, ...]
    """The arguments of each example, after ``vqvae COMMAND``."""
    arguments: tuple[tuple[str, str], ...]
    """Arguments and flags with their values, and the meaning of each. The most needed come first."""
    more: str = ""
    """A note at the end."""


_RUN = ("RUN", "The run folder, or hf:OWNER/NAME for a model on the Hugging Face Hub.")
_DEVICE = ("--device NAME", 'Where to compute: "cpu", "cuda", "cuda:1", "mps". Default: CUDA if available.')
_SEED = ("--seed N", "The same seed gives the same result. Default: 0.")
_JSON = ("--json", "Print the results as one JSON object.")
_CHECKPOINT = ("--checkpoint best|STEP", "Use a checkpoint of the tokenizer instead of the finished one.")
_SPEAKER = ("--speaker NAME", "The speaker whose voice is used, by name or number.")
_OVERWRITE = ("--overwrite", "Replace existing files.")
_BOUNDS = ("--bounds LOW HIGH", "The range of float data. Default: as in training.")
_ANY = "Every setting is a flag: --model.quantizer.codebook-size 1024. To choose another kind of part: --model.quantizer fsq."

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
                "A folder of pictures, recordings, clips or shards, or a file of arrays. A folder test/ is held out. Other folders are "
                "classes or speakers.",
            ),
            ("--out RUN", "The run folder, for models, scores and the report. Default: runs/RECIPE."),
            ("--minutes N", "Train for about N minutes in total. A short measurement turns minutes into steps."),
            ("--steps N", "Training steps of the tokenizer; no prior is trained. More steps than before continue a finished run."),
            (
                "--prior auto|yes|no|KIND",
                "Whether to train a prior. KIND: pixelcnn, wavenet, world, masked, transformer. Default: auto, which means yes unless "
                "--steps is given.",
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
            ("--minutes N", "Train for about N minutes. A short measurement turns minutes into steps."),
            ("--steps N", "Training steps. The default depends on the recipe."),
            ("--batch-size N", "Examples per step. The default depends on the recipe."),
            ("--optimizer.learning-rate X", "The highest learning rate of Adam."),
            ("--prior KIND", "The kind of prior: pixelcnn, wavenet, world, masked, transformer."),
            ("--model.layers N", "Layers of the prior."),
            ("--model.hidden N", "Channels of each layer of a PixelCNN."),
            ("--tokens FOLDER", "Train on the shards of 'vqvae tokenize'. Default: the codes of the run's own data."),
            _SEED,
            _DEVICE,
            ("--settings FILE", "Start from a settings file. 'vqvae info RUN --settings --part prior' prints one."),
        ),
        _ANY.replace("quantizer.codebook-size 1024", "kernel 3").replace("--model.quantizer fsq", "--prior wavenet"),
    ),
    "demo": Page(
        "[--modality images|speech|video] [flags]",
        "Make data, train a tokenizer and a prior on it, score both, and draw samples. 'vqvae recipes' says how long it takes.",
        ("", "--modality speech --out runs/voices", "--modality video"),
        (
            ("--modality NAME", '"images": frames of a game. "speech": sentences by a speech synthesiser. "video": clips with actions.'),
            ("--out RUN", "The run folder. Default: runs/demo, runs/demo-speech or runs/demo-video."),
            ("--data FOLDER", "Images and video: the folder for rendered frames. Speech: a folder of your own recordings."),
            ("--minutes N", "Train for about N minutes in total."),
            ("--steps N", "Training steps of each stage."),
            ("--prior KIND", "The kind of prior: pixelcnn, wavenet, world, masked, transformer. The default depends on the modality."),
            ("--open", "At the end, serve the run and open its page in a browser. It needs the extra 'serve'."),
            _SEED,
            _DEVICE,
            _JSON,
        ),
    ),
    "train-coder": Page(
        "RUN",
        "Train the entropy coder of a run, for the smallest compressed files. 'vqvae train' does this after the prior.",
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
            ("--data FOLDER", "Score on other data of the same kind, without a change to the run. Or: the run's data at its new place."),
            _BOUNDS,
            ("--phones FILE", "Phone alignments of the recordings, as .jsonl or TextGrid."),
            _CHECKPOINT,
            _JSON,
            _DEVICE,
        ),
    ),
    "reconstruct": Page(
        "RUN FILE... --out FOLDER [flags]",
        "Encode files to codes, decode the codes, and write the reconstructions.",
        ("runs/photos cat.jpg dog.png --out out", "runs/voices talk.wav --out out --speaker 3"),
        (
            _RUN,
            ("FILE...", "Pictures of any size, recordings of any length, clips, or arrays."),
            ("--out FOLDER", "Folder for the reconstructions."),
            _SPEAKER,
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
            ("--out FILE", "The file for the tokens: NAME.npz, NAME.jsonl or NAME.parquet."),
            ("--offset N", "The first token in another vocabulary. Default: tokens are codes."),
            _BOUNDS,
            ("--skip-bad", "List files that cannot be read and continue without them."),
            _CHECKPOINT,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "tokenize": Page(
        "RUN [DATA] --out FOLDER [flags]",
        "Write the codes of a whole data set to shards. After a stop, the same command continues.",
        (
            "runs/photos photos --out codes",
            "runs/photos rows.parquet --out codes --column image --workers 4",
            "runs/photos tars --out codes --engine ray",
        ),
        (
            _RUN,
            (
                "DATA",
                "A folder of files, WebDataset tars or Parquet files, a data set saved by Hugging Face datasets, or one such file. "
                "Default: the data of the run.",
            ),
            ("--out FOLDER", "The folder of the shards, plan.json and manifest.json. Shards that are there are kept."),
            ("--engine local|ray", "Processes on this machine, or Ray Data. Default: local."),
            ("--workers N", "Processes or actors, each with one thread. Default: one for each core, or one on a GPU."),
            ("--shard-size N", "Items in a shard. Default: 4096."),
            ("--format NAME", '"parquet" or "webdataset". Default: parquet.'),
            ("--column NAME", "The column of a table that has the data."),
            ("--size N", "Crop and resize pictures to this height and width. Default: their own."),
            _BOUNDS,
            _CHECKPOINT,
            _JSON,
            _DEVICE,
        ),
        "An item that cannot be read is left out and listed in manifest.json.",
    ),
    "flatten": Page(
        "FOLDER --out NAME.bin [flags]",
        "Write the codes of a tokenized data set to one file of tokens, to train language models.",
        ("codes --out tokens.bin", "codes --out tokens.bin --offset 32000 --begin 1 --end 2"),
        (
            ("FOLDER", "A folder of 'vqvae tokenize' with Parquet shards."),
            ("--out NAME.bin", "The file for the tokens, uint16 or uint32. NAME.idx says where each item lies."),
            ("--offset N", "The first token of the codes in another vocabulary. Each codebook gets its own range. Default: 0."),
            ("--begin N", "A token before each item. Default: none."),
            ("--end N", "A token after each item. Default: none."),
            _OVERWRITE,
        ),
    ),
    "decode": Page(
        "RUN TOKENS... --out FOLDER [flags]",
        "Turn the tokens of 'vqvae encode' back into files.",
        ("runs/photos tokens.npz --out out",),
        (
            _RUN,
            ("TOKENS...", "Files from 'vqvae encode'."),
            ("--out FOLDER", "Folder for the decoded files."),
            _SPEAKER,
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
            ("--out FOLDER", "Folder for the compressed files, NAME.vqz."),
            ("--mode NAME", '"prior": smallest files. "static": faster. "packed": without a coder. Default: the smallest there is.'),
            ("--label NAME", "The speaker or class of the files, by name or number. The compressed files store it."),
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
            ("RUN", "The run that compressed the files."),
            ("FILE.vqz...", "Files from 'vqvae compress'."),
            ("--out FOLDER", "Folder for the restored files: PNG, WAV, MP4 or NPY."),
            ("--speaker NAME", f"{_SPEAKER[1]} Default: the speaker that the file names."),
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
            ("OWNER/NAME", "The name of the model on the Hub. The model is created if it does not exist."),
            ("--private", "Make a new model visible only to its owner."),
            ("--license NAME", "The licence for the model card, such as apache-2.0 or cc-by-4.0."),
        ),
        "Log in first: hf auth login, or set HF_TOKEN.",
    ),
    "export": Page(
        "RUN --out FOLDER [flags]",
        "Write the encoder with its quantizer, and the decoder, as programs that run without vqvae.",
        ("runs/photos --out exported", "runs/photos --format pt2 --out exported"),
        (
            _RUN,
            ("--out FOLDER", "Folder for the programs and their description."),
            ("--format onnx|pt2", "ONNX files, or programs for torch.export.load. Default: onnx."),
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
        "Measure the rate and the distortion of compressed files, compared with JPEG, WebP and AVIF, or with Opus.",
        ("codec test-photos --runs runs/photos", "codec test-speech --runs runs/small runs/large --speaker 3 --out results"),
        (
            ("FOLDER", "A folder of pictures or recordings that no run was trained on."),
            ("--runs RUN...", "The runs to measure, all with the same kind of data."),
            ("--out FOLDER", "Folder for the table, its numbers as JSON, and the charts. Default: rate-distortion."),
            ("--count N", "Number of files, spread over the folder. Default: 32."),
            _SPEAKER,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "convert": Page(
        "RUN FILE --speaker NAME --out FILE [flags]",
        "Convert a recording to another voice.",
        ("runs/voices talk.wav --speaker p228 --out out.wav", "runs/voices talk.wav --all-speakers --out out"),
        (
            ("RUN", "The run folder of a speech model with speakers."),
            ("FILE", "A recording of any length by any speaker."),
            _SPEAKER,
            ("--all-speakers", "Write one file for each voice of the model. Then --out is a folder."),
            ("--out FILE", "The WAV or FLAC file to write."),
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "sample": Page(
        "RUN --out FOLDER [flags]",
        "Draw new pictures, recordings, clips or arrays.",
        ("runs/photos --out samples --count 64", "runs/photos --out samples.png --label cat --temperature 0.9"),
        (
            ("RUN", "A run folder with a trained prior."),
            ("--out FOLDER", "A folder for one file per sample, or NAME.png for one picture, or NAME.npy for one array."),
            ("--count N", "Number of samples. Default: 16."),
            ("--label NAME", "The class or speaker of the samples, by name or number."),
            ("--seconds X", "Length of each sample in seconds. Default: that of a training example."),
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
            ("--start FILE|N", "A video to start from, or the number of a held-out episode. Default: 0, the first episode."),
            ("--at N", "The number of the first frame to use. Default: 0."),
            ("--action NAME ...", "The action to hold, or one action per imagined frame."),
            ("--actions FILE", "A file with one action per line."),
            ("--frames N", "Number of frames to imagine. Default: 10."),
            ("--count N", "Number of rollouts from the same start. Default: 1."),
            _SEED,
            _OVERWRITE,
            _DEVICE,
        ),
    ),
    "serve": Page(
        "RUN... [flags]",
        "Serve runs to other programs over HTTP, and to people on a page. Ctrl-C stops it.",
        (
            "runs/photos",
            "runs/photos runs/voices runs/worlds-video --port 8080",
            "runs/photos --host 0.0.0.0 --token correct-horse",
        ),
        (
            ("RUN...", "Run folders, or models hf:OWNER/NAME. Each is served under the name of its folder."),
            ("--port N", "The port. 0: any free one. Default: 8000."),
            ("--host ADDRESS", "The address. Default: 127.0.0.1, which only this machine reaches. Another address needs a token."),
            ("--open", "Open the page in a browser."),
            ("--token TEXT", "What clients must send. Default: the variable VQVAE_TOKEN, if it is set."),
            ("--deadline X", "Seconds that a request may take. Default: 60."),
            ("--most-bytes N", "The most bytes of a request. Default: 33554432 (32 MiB)."),
            ("--most-pixels N", "The most pixels of a picture, or of all frames of a clip. Default: 4194304."),
            ("--most-seconds X", "The most seconds of a recording. Default: 60."),
            _DEVICE,
        ),
        "/openapi.json describes all requests. --help-all lists more limits.",
    ),
    "info": Page(
        "RUN|FILE.vqz [flags]",
        "Show what a run is, what it was trained on, and its scores. Or show what a compressed file contains.",
        ("runs/photos", "small/cat.vqz", "runs/photos --settings > settings.json"),
        (
            _RUN,
            ("FILE.vqz", "A file from 'vqvae compress'."),
            ("--settings", "Print the settings, for a file that 'vqvae train --settings' reads."),
            ("--part NAME", "The part whose settings are printed: tokenizer or prior. Default: tokenizer."),
            _JSON,
        ),
    ),
    "reproduce": Page(
        "EXPERIMENT [flags]",
        "Train and score an experiment of the paper, and write its table.",
        ("e1", "e2 --scale paper --data imagenet"),
        (
            ("EXPERIMENT", "e1 to e11."),
            ("--data FOLDER", "The folder of the data, if the experiment does not download or generate it."),
            ("--scale NAME", '"cpu" fits two CPU cores. "paper" has the sizes of the paper and needs a GPU. Default: cpu.'),
            ("--out FOLDER", "Folder for the table. Default: docs/results."),
            ("--runs FOLDER", "Folder for the run folders. Default: runs."),
            _DEVICE,
        ),
    ),
    "recipes": Page("[--json]", "List what can be trained, with its source and its cost.", ("",), (_JSON,)),
}
"""The page of each command."""
