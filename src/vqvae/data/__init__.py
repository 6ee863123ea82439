"""Examples in, batches out; nothing here knows of models."""

from vqvae.data.arrays import ArrayConfig, ArrayDataset
from vqvae.data.base import Batch, Condition, Dataset, Objective, Splits
from vqvae.data.cifar10 import Cifar10Config
from vqvae.data.codes import (
    CodesDataset,
    CodesHeader,
    CodesManifest,
    CodesWriter,
    Shard,
    read_manifest,
)
from vqvae.data.images import FileDataset, ImageFolderConfig
from vqvae.data.loader import Loader, global_indices, in_order
from vqvae.data.synthetic import SyntheticImagesConfig
from vqvae.data.transforms import read_image
from vqvae.data.worlds import WorldsConfig, WorldsDataset

DataConfig = ImageFolderConfig | ArrayConfig | Cifar10Config | WorldsConfig | SyntheticImagesConfig

__all__ = [
    "ArrayConfig",
    "ArrayDataset",
    "Batch",
    "Cifar10Config",
    "CodesDataset",
    "CodesHeader",
    "CodesManifest",
    "CodesWriter",
    "Condition",
    "DataConfig",
    "Dataset",
    "FileDataset",
    "ImageFolderConfig",
    "Loader",
    "Objective",
    "Shard",
    "Splits",
    "SyntheticImagesConfig",
    "WorldsConfig",
    "WorldsDataset",
    "global_indices",
    "in_order",
    "read_image",
    "read_manifest",
]
