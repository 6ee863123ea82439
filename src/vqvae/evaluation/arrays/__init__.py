"""Scores of models of any kind of data."""
