"""Classifiers of real data, which say what models have made."""

from vqvae.evaluation.probes.phones import PhoneRecogniserConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig

ProbeConfig = SpeakerClassifierConfig | PhoneRecogniserConfig
"""What ``storage.load`` needs among its ``parts`` to load a probe."""
