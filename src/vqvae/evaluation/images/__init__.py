"""Scores of models of images."""
