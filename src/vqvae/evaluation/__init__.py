"""Scores of trained models, with a folder for each kind of data or question."""
