"""Scores of speech models."""
