"""Scores of models of clips."""
