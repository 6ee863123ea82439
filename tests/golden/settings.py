"""What each golden run is made with: networks so small that all of them together are a megabyte."""

from typing import Any, NamedTuple

import vqvae
from tests.golden.bridge import CepstraConfig, SpeakerClassifierConfig, TrainConfig

OPTIMIZER = vqvae.AdamConfig(learning_rate=1e-2, warmup_steps=2, schedule="cosine", clip_norm=1.0, weight_decay=0.01)
NETWORK = {"widths": (4,), "residual_blocks": 1, "residual_hidden": 4}
ENCODER, DECODER = vqvae.ImageEncoderConfig(**NETWORK), vqvae.ImageDecoderConfig(**NETWORK)
IMAGES = {"encoder": ENCODER, "decoder": DECODER}
EMA = vqvae.EMAQuantizerConfig(dim=4, codebook_size=8, revive_after=2)
PRODUCT = vqvae.ProductQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2, revive_after=2)
RAW = vqvae.AudioEncoderConfig(strides=(2, 4, 4), width=8, first_width=4, residual_blocks=1)
MEL = {"rate": 2000, "window": 64, "hop": 16, "mels": 6, "strides": (2,), "width": 6, "residual_blocks": 1}
WAVENET = {"stride": 32, "levels": 32, "speakers": 2, "layers": 3, "cycle": 3, "residual": 4, "skip": 4, "condition_hidden": 4}
CEPSTRA = CepstraConfig(rate=2000, window=64, hop=16, spectra=4, mels=8, coefficients=4)
SPECTRAL = {"stride": 32, "speakers": 2, "width": 6, "blocks": 1, "n_fft": 32, "hop": 8}
PIXELCNN = {"codebook_size": 8, "layers": 2, "hidden": 4, "kernel": 3, "output_hidden": 8}
SEQUENCES = {"codebook_size": 8, "layers": 3, "cycle": 2, "residual": 4, "skip": 4, "output_hidden": 4}
SECOND = {
    "likelihood": vqvae.CategoricalCodesConfig(codebook_size=8, channels=2),
    "encoder": vqvae.CodesEncoderConfig(codebook_size=8, space=(4, 5), hidden=4, widths=(4,), residual_blocks=1, residual_hidden=4),
    "decoder": vqvae.CodesDecoderConfig(codebook_size=8, space=(4, 5), layers=2, hidden=4, kernel=3, output_hidden=8),
}


def pictures(*shape: int, **more: Any) -> dict[str, Any]:
    return {"what": "pictures", "seed": 10, "count": 4, "shape": list(shape or (3, 8, 8)), **more}


def waves(samples: int, **more: Any) -> dict[str, Any]:
    return {"what": "waves", "seed": 20, "count": 3, "shape": [samples], **more}


def codes(*shape: int, **more: Any) -> dict[str, Any]:
    return {"what": "codes", "seed": 30, "count": 4, "shape": list(shape), "size": 8, **more}


class Golden(NamedTuple):
    """A part that is trained for some steps."""

    model: Any
    inputs: dict[str, Any]
    """What is looked at; what is trained on is like it, with another seed."""
    more: dict[str, Any] = {}
    """Other settings of the training."""

    def config(self, **changes: Any) -> TrainConfig:
        shared = {"batch_size": 4, "optimizer": OPTIMIZER, "precision": "float32", "evaluate_every": 0}
        return TrainConfig(model=self.model, **{**shared, "steps": 200, **self.more, **changes})


def vq(quantizer: Any, likelihood: Any, **parts: Any) -> vqvae.VQVAEConfig:
    return vqvae.VQVAEConfig(quantizer=quantizer, likelihood=likelihood, **{**IMAGES, **parts})


RAGGED = waves(160, labels=2, lengths=[160, 75, 33])
SPEECH = {
    "speech-wavenet": Golden(vq(EMA, vqvae.MuLawConfig(levels=32), encoder=RAW, decoder=vqvae.WaveNetDecoderConfig(**WAVENET)), RAGGED),
    "speech-wavenet-jitter": Golden(
        vq(PRODUCT, vqvae.MuLawConfig(levels=32), encoder=RAW, decoder=vqvae.WaveNetDecoderConfig(**WAVENET, int8=False), jitter=0.3),
        waves(160, labels=2),
    ),
    "speech-wavenet-mixture": Golden(
        vq(
            EMA,
            vqvae.MuLawMixtureConfig(levels=32, mixtures=2),
            encoder=vqvae.LogMelEncoderConfig(**MEL, normalise=True),
            decoder=vqvae.WaveNetDecoderConfig(**WAVENET),
        ),
        RAGGED,
    ),
    "speech-spectral": Golden(
        vq(
            vqvae.VectorQuantizerConfig(dim=4, codebook_size=8),
            vqvae.SpectralConfig(windows=(32, 64)),
            encoder=vqvae.LogMelEncoderConfig(**MEL),
            decoder=vqvae.SpectralDecoderConfig(**SPECTRAL),
            jitter=0.2,
        ),
        RAGGED,
    ),
    "speech-cepstral": Golden(
        vq(
            EMA,
            vqvae.CepstralConfig(cepstra=CEPSTRA),
            encoder=vqvae.CepstralEncoderConfig(cepstra=CEPSTRA, width=4),
            decoder=vqvae.CepstralDecoderConfig(stride=64, speakers=2, width=4),
        ),
        waves(384, labels=2, lengths=[384, 200, 384]),
    ),
    "speech-voiceless": Golden(
        vq(
            EMA,
            vqvae.MuLawConfig(levels=16),
            encoder=RAW,
            decoder=vqvae.WaveNetDecoderConfig(**{**WAVENET, "levels": 16, "speakers": 0}),
        ),
        waves(100),
    ),
}
TOKENIZERS = {
    "images-gradient": Golden(
        vq(
            vqvae.VectorQuantizerConfig(dim=4, codebook_size=8, gradient="rotation", revive_after=2),
            vqvae.GaussianConfig(channels=3),
            encoder=vqvae.ImageEncoderConfig(**NETWORK, stem=True),
        ),
        pictures(),
    ),
    "images-ema": Golden(vq(EMA, vqvae.GaussianConfig(channels=3, scale=20.0)), pictures(3, 7, 9), {"average_decay": 0.9}),
    "images-product": Golden(vq(PRODUCT, vqvae.LogisticMixtureConfig(channels=3, mixtures=2)), pictures()),
    "images-product-gradient": Golden(
        vq(
            vqvae.ProductQuantizerConfig(dim=4, codebook_size=8, num_codebooks=2, revive_after=2, learning="gradient"),
            vqvae.CategoricalConfig(channels=1),
            decoder=vqvae.ImageDecoderConfig(widths=(2,), residual_blocks=1, residual_hidden=2),
        ),
        pictures(1, 8, 8),
    ),
    "images-identity": Golden(
        vq(vqvae.IdentityQuantizerConfig(dim=2), vqvae.LogisticMixtureConfig(channels=1, mixtures=2)), pictures(1, 8, 8)
    ),
    "images-twice": Golden(
        vq(
            vqvae.EMAQuantizerConfig(dim=4, codebook_size=8, revive_after=2, start_from_data=False),
            vqvae.GaussianConfig(channels=3),
            encoder=vqvae.ImageEncoderConfig(**{**NETWORK, "widths": (4, 4)}),
            decoder=vqvae.ImageDecoderConfig(**{**NETWORK, "widths": (4, 4)}),
        ),
        pictures(3, 8, 16),
    ),
    "vae": Golden(vqvae.VAEConfig(dim=2, likelihood=vqvae.GaussianConfig(channels=3), free_bits=0.1, **IMAGES), pictures()),
    "vimco": Golden(
        vqvae.VIMCOConfig(
            codebook_size=8, num_codebooks=2, dim=4, likelihood=vqvae.GaussianConfig(channels=3), samples=4, resampled=2, **IMAGES
        ),
        pictures(),
    ),
    "gumbel": Golden(
        vqvae.GumbelSoftmaxConfig(
            codebook_size=8, dim=4, likelihood=vqvae.GaussianConfig(channels=3), straight_through=True, anneal_steps=10, **IMAGES
        ),
        pictures(),
    ),
    "second-stage-vqvae": Golden(vqvae.VQVAEConfig(quantizer=PRODUCT, **SECOND), codes(2, 4, 5)),
    "second-stage-vae": Golden(vqvae.VAEConfig(dim=2, **SECOND), codes(2, 4, 5)),
}
PRIORS = {
    "prior-pixelcnn": Golden(vqvae.PixelCNNConfig(**PIXELCNN), codes(1, 4, 5)),
    "prior-pixelcnn-classes": Golden(
        vqvae.PixelCNNConfig(**PIXELCNN, num_codebooks=2, classes=3, dropout=0.1), codes(2, 4, 4, labels=3), {"average_decay": 0.9}
    ),
    "prior-wavenet": Golden(vqvae.WaveNetConfig(**SEQUENCES), codes(1, 24, lengths=[24, 9, 17, 1])),
    "prior-wavenet-classes": Golden(vqvae.WaveNetConfig(**SEQUENCES, num_codebooks=2, classes=2, dropout=0.1), codes(2, 16, labels=2)),
}
JOINT = Golden(
    vqvae.JointConfig(
        tokenizer=vq(PRODUCT, vqvae.GaussianConfig(channels=3)),
        prior=vqvae.PixelCNNConfig(**PIXELCNN, num_codebooks=2, classes=2),
        choice_weight=0.1,
        alone_steps=2,
        anneal_steps=2,
    ),
    pictures(labels=2),
)
PROBE = Golden(SpeakerClassifierConfig(speakers=2, rate=2000, mels=6, width=4, layers=1), waves(200, labels=2, lengths=[200, 90, 200]))
PARTS = {**TOKENIZERS, **SPEECH, **PRIORS, "joint": JOINT, "probe": PROBE}
UNTRAINED = {
    "prior-uniform": (vqvae.UniformPriorConfig(codebook_size=8, num_codebooks=2), codes(2, 4, 5)),
    "prior-unigram": (vqvae.UnigramPriorConfig(codebook_size=8), codes(1, 24, lengths=[24, 9, 17, 1])),
}
RESUMED = {
    "resume-vqvae": TOKENIZERS["images-ema"]._replace(more={"average_decay": 0.9, "evaluate_every": 6}),
    "resume-accumulate": TOKENIZERS["images-product"]._replace(more={"accumulate": 2}),
    "resume-gradient": TOKENIZERS["images-gradient"]._replace(more={"accumulate": 2, "average_decay": 0.9}),
    "resume-gumbel": TOKENIZERS["gumbel"],
    "resume-vimco": TOKENIZERS["vimco"],
    "resume-prior": PRIORS["prior-pixelcnn-classes"],
    "resume-wavenet": PRIORS["prior-wavenet"],
    "resume-joint": JOINT._replace(more={"average_decay": 0.9}),
    "resume-speech": SPEECH["speech-wavenet-jitter"]._replace(inputs=RAGGED),
}
"""Trainings that are stopped in their middle."""
RUN_IMAGES = TrainConfig(
    model=vq(EMA, vqvae.GaussianConfig(channels=3)),
    data=vqvae.SyntheticImagesConfig(count=40, size=8, classes=3),
    **{"steps": 20, "batch_size": 8, "optimizer": OPTIMIZER, "precision": "float32", "average_decay": 0.9, "evaluate_every": 0},
)
RUN_IMAGES_PRIOR = TrainConfig(
    model=vqvae.PixelCNNConfig(**PIXELCNN, classes=3),
    **{"steps": 10, "batch_size": 8, "optimizer": OPTIMIZER, "precision": "float32", "evaluate_every": 0},
)
RUN_SPEECH = TrainConfig(
    model=vq(
        EMA,
        vqvae.SpectralConfig(windows=(64,)),
        encoder=vqvae.AudioEncoderConfig(strides=(4, 4), width=6, residual_blocks=0),
        decoder=vqvae.SpectralDecoderConfig(**{**SPECTRAL, "stride": 16}),
    ),
    data=vqvae.AudioFolderConfig(path="recordings", cache="cache", chunk=512, crop=256, hop=128),
    **{"steps": 20, "batch_size": 4, "optimizer": OPTIMIZER, "precision": "float32", "evaluate_every": 0},
)
RUN_SPEECH_PRIOR = TrainConfig(
    model=vqvae.WaveNetConfig(**SEQUENCES),
    **{"steps": 10, "batch_size": 4, "optimizer": OPTIMIZER, "precision": "float32", "evaluate_every": 0},
)
RECORDINGS = {"one/0": 1_500, "one/1": 400, "two/0": 2_300, "two/1": 300, "one/2": 900, "two/2": 1_100}
"""Samples of each, whose names begin with the speaker's."""
