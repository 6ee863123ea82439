"""Discrete tokenizers, their learned priors, and honest likelihoods: [VQVAE], https://arxiv.org/abs/1711.00937.

Every public name is resolved when it is first asked for (PEP 562), so that ``import vqvae`` does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqvae.data import (
        ArrayConfig,
        AudioFolderConfig,
        Batch,
        Cifar10Config,
        Condition,
        DataConfig,
        Dataset,
        ImageFolderConfig,
        Objective,
        Splits,
        SyntheticImagesConfig,
        VoicesConfig,
        WorldsConfig,
    )
    from vqvae.errors import (
        BitstreamError,
        CheckpointError,
        ConfigError,
        DataError,
        MissingExtraError,
        VqvaeError,
    )
    from vqvae.likelihoods import (
        BinnedLikelihood,
        Categorical,
        CategoricalCodes,
        CategoricalCodesConfig,
        CategoricalConfig,
        Gaussian,
        GaussianConfig,
        Likelihood,
        LikelihoodConfig,
        LogisticMixture,
        LogisticMixtureConfig,
        MuLaw,
        MuLawConfig,
        MuLawMixture,
        MuLawMixtureConfig,
        Spectral,
        SpectralConfig,
    )
    from vqvae.models import (
        VAE,
        VIMCO,
        VQVAE,
        Bound,
        GumbelSoftmax,
        GumbelSoftmaxConfig,
        LatentModel,
        Level,
        LogPrior,
        ModelConfig,
        Reconstruction,
        Tokenizer,
        VAEConfig,
        VIMCOConfig,
        VQVAEConfig,
    )
    from vqvae.networks import (
        AudioEncoder,
        AudioEncoderConfig,
        AutoregressiveDecoder,
        CepstralEncoderConfig,
        CodesDecoder,
        CodesDecoderConfig,
        CodesEncoder,
        CodesEncoderConfig,
        Decoder,
        DecoderConfig,
        Encoder,
        EncoderConfig,
        Given,
        ImageDecoder,
        ImageDecoderConfig,
        ImageEncoder,
        ImageEncoderConfig,
        LogMelEncoder,
        LogMelEncoderConfig,
        SpectralDecoder,
        SpectralDecoderConfig,
        WaveNetDecoder,
        WaveNetDecoderConfig,
    )
    from vqvae.pipeline import Pipeline, load, save
    from vqvae.priors import (
        AutoregressivePrior,
        PixelCNN,
        PixelCNNConfig,
        Prior,
        PriorConfig,
        UniformPrior,
        UniformPriorConfig,
        UnigramPrior,
        UnigramPriorConfig,
        WaveNetConfig,
        WaveNetPrior,
    )
    from vqvae.quantizers import (
        EMAQuantizer,
        EMAQuantizerConfig,
        IdentityQuantizer,
        IdentityQuantizerConfig,
        ProductQuantizer,
        ProductQuantizerConfig,
        Quantized,
        Quantizer,
        QuantizerConfig,
        VectorQuantizer,
        VectorQuantizerConfig,
    )
    from vqvae.training import AdamConfig, Joint, JointConfig, RunOptions, TrainConfig, Trainer

# What is here is imported above, and the reverse: ruff sees to it. Where it is from, the first home that has it says.
__all__ = [
    "VAE",
    "VIMCO",
    "VQVAE",
    "AdamConfig",
    "ArrayConfig",
    "AudioEncoder",
    "AudioEncoderConfig",
    "CepstralEncoderConfig",
    "AudioFolderConfig",
    "AutoregressiveDecoder",
    "AutoregressivePrior",
    "Batch",
    "BinnedLikelihood",
    "BitstreamError",
    "Bound",
    "Categorical",
    "CategoricalCodes",
    "CategoricalCodesConfig",
    "CategoricalConfig",
    "CheckpointError",
    "Cifar10Config",
    "CodesDecoder",
    "CodesDecoderConfig",
    "CodesEncoder",
    "CodesEncoderConfig",
    "Condition",
    "ConfigError",
    "DataConfig",
    "DataError",
    "Dataset",
    "Decoder",
    "DecoderConfig",
    "EMAQuantizer",
    "EMAQuantizerConfig",
    "Encoder",
    "EncoderConfig",
    "Gaussian",
    "GaussianConfig",
    "Given",
    "GumbelSoftmax",
    "GumbelSoftmaxConfig",
    "IdentityQuantizer",
    "IdentityQuantizerConfig",
    "ImageDecoder",
    "ImageDecoderConfig",
    "ImageEncoder",
    "ImageEncoderConfig",
    "ImageFolderConfig",
    "Joint",
    "JointConfig",
    "LatentModel",
    "Level",
    "Likelihood",
    "LikelihoodConfig",
    "LogMelEncoder",
    "LogMelEncoderConfig",
    "LogPrior",
    "LogisticMixture",
    "LogisticMixtureConfig",
    "MissingExtraError",
    "ModelConfig",
    "MuLaw",
    "MuLawConfig",
    "MuLawMixture",
    "MuLawMixtureConfig",
    "Objective",
    "Pipeline",
    "PixelCNN",
    "PixelCNNConfig",
    "Prior",
    "PriorConfig",
    "ProductQuantizer",
    "ProductQuantizerConfig",
    "Quantized",
    "Quantizer",
    "QuantizerConfig",
    "Reconstruction",
    "RunOptions",
    "Spectral",
    "SpectralConfig",
    "SpectralDecoder",
    "SpectralDecoderConfig",
    "Splits",
    "SyntheticImagesConfig",
    "Tokenizer",
    "TrainConfig",
    "Trainer",
    "UniformPrior",
    "UniformPriorConfig",
    "UnigramPrior",
    "UnigramPriorConfig",
    "VAEConfig",
    "VIMCOConfig",
    "VQVAEConfig",
    "VectorQuantizer",
    "VectorQuantizerConfig",
    "VoicesConfig",
    "VqvaeError",
    "WaveNetConfig",
    "WaveNetDecoder",
    "WaveNetDecoderConfig",
    "WaveNetPrior",
    "WorldsConfig",
    "load",
    "save",
]
_HOMES = ("errors", "data", "quantizers", "likelihoods", "networks", "models", "priors", "training", "pipeline")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # Here, because it takes longer than all the rest.

        return version("vqvae")
    if name in __all__:
        for home in _HOMES:
            module = importlib.import_module(f"vqvae.{home}")
            if hasattr(module, name):
                return globals().setdefault(name, getattr(module, name))
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=1)
    raise AttributeError(f"module 'vqvae' has no attribute {name!r}." + (f" Did you mean {near[0]!r}?" if near else " See dir(vqvae)."))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
