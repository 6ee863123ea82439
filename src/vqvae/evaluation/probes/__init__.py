"""Classifiers trained on real data and applied to models' outputs."""

from vqvae.evaluation.probes.phones import PhoneRecogniserConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig

ProbeConfig = SpeakerClassifierConfig | PhoneRecogniserConfig
"""The ``parts`` that ``storage.load`` needs to load a probe."""
