"""Classifiers that are trained on real data and applied to the outputs of models."""

from vqvae.evaluation.probes.dynamics import InverseDynamicsConfig
from vqvae.evaluation.probes.phones import PhoneRecogniserConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig

ProbeConfig = InverseDynamicsConfig | SpeakerClassifierConfig | PhoneRecogniserConfig
"""The ``parts`` that ``storage.load`` needs to load a probe."""
