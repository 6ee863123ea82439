"""Data sets and batches. Nothing here depends on models."""

from vqvae.data.arrays import ArrayConfig, ArrayDataset
from vqvae.data.audio import AudioDataset, AudioFolderConfig, Recording, recordings_of
from vqvae.data.audio_shards import AudioShardsConfig
from vqvae.data.base import Batch, Condition, Dataset, Objective, Splits
from vqvae.data.cifar10 import Cifar10Config
from vqvae.data.episodes import ClipsDataset, Episodes, FramesDataset
from vqvae.data.gym import GymConfig
from vqvae.data.image_shards import ImageShardsConfig, ShardedImages
from vqvae.data.images import FileDataset, ImageFolderConfig
from vqvae.data.loader import Loader, global_indices, in_order
from vqvae.data.phones import Phone, check_phones, labels_at, read_phones
from vqvae.data.rollouts import Rollouts, spread_starts
from vqvae.data.shard_format import CodesHeader, CodesManifest, LevelHeader, read_manifest
from vqvae.data.shard_writer import CodesWriter, Shard
from vqvae.data.shards import CodesDataset
from vqvae.data.synthetic import SyntheticImagesConfig
from vqvae.data.videos import VideosConfig
from vqvae.data.voices import PHONES, Utterance, VoicesConfig, known_voices, speak
from vqvae.data.worlds import WorldsConfig
from vqvae.media.images import read_image
from vqvae.media.sounds import audio_blocks, read_audio, write_audio

DataConfig = (
    ImageFolderConfig
    | ImageShardsConfig
    | ArrayConfig
    | Cifar10Config
    | WorldsConfig
    | GymConfig
    | VideosConfig
    | SyntheticImagesConfig
    | AudioFolderConfig
    | AudioShardsConfig
    | VoicesConfig
)

__all__ = [
    "PHONES",
    "ArrayConfig",
    "ArrayDataset",
    "AudioDataset",
    "AudioFolderConfig",
    "AudioShardsConfig",
    "Batch",
    "Cifar10Config",
    "ClipsDataset",
    "CodesDataset",
    "CodesHeader",
    "CodesManifest",
    "CodesWriter",
    "Condition",
    "DataConfig",
    "Dataset",
    "Episodes",
    "FileDataset",
    "FramesDataset",
    "GymConfig",
    "ImageFolderConfig",
    "ImageShardsConfig",
    "LevelHeader",
    "Loader",
    "Objective",
    "Phone",
    "Recording",
    "Rollouts",
    "Shard",
    "ShardedImages",
    "Splits",
    "SyntheticImagesConfig",
    "Utterance",
    "VideosConfig",
    "VoicesConfig",
    "WorldsConfig",
    "audio_blocks",
    "check_phones",
    "global_indices",
    "in_order",
    "known_voices",
    "labels_at",
    "read_audio",
    "read_image",
    "read_manifest",
    "read_phones",
    "recordings_of",
    "speak",
    "spread_starts",
    "write_audio",
]
