"""The words of a report: what each score means, its unit, and what the data is called."""

import math
from typing import NamedTuple

from vqvae.signals import Signal


class Words(NamedTuple):
    """What a kind of data is called in a report."""

    example: str = "example"
    """One example; "s" makes the plural."""
    dim: str = "value"
    """What users call a dimension."""
    raw: str = ""
    """A sentence with the bits per dimension of uncompressed data. Empty if the data has no fixed levels."""
    stored: str = "bytes per example"
    """The unit of the sizes in the report."""
    lossless: str = "raw"
    """The lossless format in the comparison of sizes."""
    about: str = (
        "The tokenizer turns an array into a small grid of codes from a fixed list, the codebook, and decodes such grids. "
        "A prior is a model of these grids. Together they can compress arrays, score them and draw new ones."
    )

    @property
    def examples(self) -> str:
        """The plural."""
        return f"{self.example}s"


class Measure(NamedTuple):
    """How a score is shown."""

    title: str
    form: str
    """The format specification of the number, after multiplication by ``factor``."""
    unit: str
    meaning: str
    """A sentence. Names in braces are fields of ``Words``, such as ``{example}``."""
    factor: float = 1.0
    better: int = 0
    """1 if more is better, -1 if less is better, 0 if neither."""


_DIM, _WHOLE = "Bits per dimension", "Average cost of lossless storage per {dim}."
_SAME = " The prior knows only the frequency of each code."
_UNIFORM = " All codes are equally likely to this prior."
_CODE, _SECOND = "Average cost of a code.", "Average cost of the codes of a second."
_FRAME = "Average cost of the codes of a frame."
_LEFT = "The part of these bits that stores the {example} once the codes are known."
MEASURES = {
    "bits_per_dim_learned": Measure(f"{_DIM}, learned prior", ".3f", "bits/dim", f"{_WHOLE}{{raw}}", better=-1),
    "bits_per_dim_unigram": Measure(f"{_DIM}, unigram prior", ".3f", "bits/dim", f"{_WHOLE}{{raw}}{_SAME}", better=-1),
    "bits_per_dim_uniform": Measure(f"{_DIM}, uniform prior", ".3f", "bits/dim", f"{_WHOLE}{{raw}}{_UNIFORM}", better=-1),
    "bits_per_dim_reconstruction": Measure(f"{_DIM}, data given codes", ".3f", "bits/dim", _LEFT, better=-1),
    "bits_per_sample_learned": Measure("Bits per sample, learned prior", ".3f", "bits", _WHOLE, better=-1),
    "bits_per_sample_unigram": Measure("Bits per sample, unigram prior", ".3f", "bits", _WHOLE + _SAME, better=-1),
    "bits_per_sample_uniform": Measure("Bits per sample, uniform prior", ".3f", "bits", _WHOLE + _UNIFORM, better=-1),
    "bits_per_sample_reconstruction": Measure("Bits per sample, data given codes", ".3f", "bits", _LEFT, better=-1),
    "bits_per_second_learned": Measure("Bit rate, learned prior", ".1f", "bit/s", _SECOND, better=-1),
    "bits_per_second_unigram": Measure("Bit rate, unigram prior", ".1f", "bit/s", _SECOND + _SAME, better=-1),
    "bits_per_second_uniform": Measure("Bit rate, uniform prior", ".1f", "bit/s", _SECOND + _UNIFORM, better=-1),
    "bits_per_frame": Measure("Bits per frame, learned prior", ".1f", "bits", _FRAME, better=-1),
    "bits_per_frame_unigram": Measure("Bits per frame, unigram prior", ".1f", "bits", _FRAME + _SAME, better=-1),
    "bits_per_frame_uniform": Measure("Bits per frame, uniform prior", ".1f", "bits", _FRAME + _UNIFORM, better=-1),
    "bits_per_code": Measure("Bits per code, learned prior", ".3f", "bits", _CODE, better=-1),
    "bits_per_code_unigram": Measure("Bits per code, unigram prior", ".3f", "bits", _CODE + _SAME, better=-1),
    "bits_per_code_coder": Measure("Bits per code, compressed files", ".3f", "bits", _CODE, better=-1),
    "bits_per_code_uniform": Measure("Bits per code, uniform prior", ".3f", "bits", "log₂ of the number of codes in the codebook."),
    "psnr": Measure("PSNR", ".2f", "dB", "Accuracy of the reconstructions. 3 dB more means half the squared error.", better=1),
    "flicker": Measure("Flicker", ".2f", "levels", "Mean change of the reconstruction where the original stands still.", better=-1),
    "ssim": Measure("SSIM", ".4f", "", "Similarity of local structure. 1 means equal.", better=1),
    "rmse": Measure("Root mean squared error", ".4g", "in units of the data", "Error of the reconstructions. 0 means equal.", better=-1),
    "nmse": Measure("Normalised squared error", ".4f", "", "Squared error divided by the variance of the data. 0 means equal.", better=-1),
    "log_mel_distance": Measure("Log-mel distance", ".2f", "dB", "Difference of the log-mel spectrograms. 0 means equal.", better=-1),
    "stft_distance": Measure("STFT distance", ".3f", "", "Difference of spectrograms at several resolutions. 0 means equal.", better=-1),
    "mel_cepstral_distance": Measure("Mel cepstral distance", ".2f", "dB", "Difference of timbre. 0 means equal.", better=-1),
    "f0_cents": Measure("Pitch error", ".0f", "cents", "Where both recordings are voiced. 100 cents are a semitone.", better=-1),
    "f0_voicing": Measure("Voicing error", ".1f", "%", "Share of frames that are voiced in only one recording.", 100.0, better=-1),
    "stoi": Measure("Intelligibility, STOI", ".3f", "", "Predicted intelligibility. 1 is best.", better=1),
    "compression_ratio": Measure("Compression", ".1f", "times", "Raw size divided by the size of the codes. Codes are lossy.", better=1),
    "perplexity": Measure("Perplexity of the codes", ".1f", "codes", "The number of equally frequent codes with the same entropy."),
    "codes_used": Measure("Codes used", ".1f", "%", "Share of the codebook that occurs in held-out {examples}.", 100.0),
    "examples": Measure("Held-out {examples}", ".0f", "", "The model was scored on these. It was not trained on them."),
    "frames": Measure("Held-out frames", ".0f", "", "The model was scored on these. It was not trained on them."),
    "seconds_scored": Measure("Held-out audio", ".1f", "s", "The codes were scored on this much audio."),
    "seconds": Measure("Total time", ".0f", "s", "The sum over the stages of this run."),
    # Metrics of training.
    "loss": Measure("Loss", ".4g", "", "What training minimises.", better=-1),
    "nats_per_dim": Measure(_DIM, ".3f", "bits/dim", "The bound on these examples, with a uniform prior.", 1 / math.log(2), better=-1),
    "nats_per_code": Measure("Bits per code", ".3f", "bits/code", _CODE, 1 / math.log(2), better=-1),
    "distance_per_dim": Measure("Distance", ".4g", "", "Distance between the data and its reconstruction.", better=-1),
    "adversary_loss": Measure("Loss of the adversary", ".4g", "", "What the adversary minimises."),
    "examples_per_second": Measure("Speed", ".4g", "examples/s", "Training examples per second.", better=1),
}


def words_of(kind: str, signal: Signal | None) -> Words:
    """The words for a kind of data: "pictures", "sound" or "clips". Any other kind gets the words for arrays."""
    levels = None if signal is None else signal.levels
    raw = "" if levels is None else f" Raw data takes {math.log2(levels):.3g}."
    if kind == "pictures":
        dim = "pixel" if signal is not None and signal.channels == 1 else "colour channel of a pixel"
        return Words("image", dim, raw, "bytes per image", "PNG", Words().about.replace("an array", "an image").replace("arrays", "images"))
    if kind == "sound":
        about = (
            "The tokenizer turns a recording into a short sequence of codes from a fixed list, the codebook, and decodes such sequences. "
            "A prior is a model of these sequences. Together they can compress recordings, score them and generate new sound."
        )
        return Words("recording", "sample", "", "bytes per second", "FLAC", about)
    if kind == "clips":
        dim = "pixel" if signal is not None and signal.channels == 1 else "colour channel of a pixel"
        about = (
            "The tokenizer turns the frames of a clip into grids of codes from a fixed list, the codebook, and decodes such grids. "
            "A prior is a model of these grids, one after the other. Together they can compress clips, score them and imagine what follows."
        )
        return Words("clip", dim, raw, "bytes per frame", about=about)
    return Words(raw=raw)


def measure(name: str, words: Words = Words()) -> Measure:
    """How to show the score with this name. An unknown name becomes its own title: underscores turn into spaces, and the first letter into
    a capital."""
    if name.startswith("frechet_"):
        of, features = "reconstructions", name.removeprefix("frechet_")
        if features.startswith("samples_"):
            of, features = "samples", features.removeprefix("samples_")
        meaning = f"Distance between the features of {of} and of held-out {words.examples}. Compare it only for the same features."
        return Measure(f"Fréchet distance of {of}, {features} features", ".4g", "", meaning, better=-1)
    stem, _, level = name.partition("_level_")
    found = MEASURES.get(stem)
    if found is None:
        return Measure(name.replace("_", " ").capitalize(), ".4g", "", "")
    title, meaning = (text.format_map(words._asdict() | {"examples": words.examples}) for text in (found.title, found.meaning))
    return found._replace(title=f"{title}, level {level}" if level else title, meaning=meaning)


def in_words(name: str, value: float) -> tuple[str, str]:
    """The formatted number of a score, and its unit."""
    found = measure(name)
    return f"{value * found.factor:{found.form}}", found.unit


def size_in_words(count: float) -> str:
    """A number of bytes with a unit: MB, kB or bytes."""
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g} bytes"
