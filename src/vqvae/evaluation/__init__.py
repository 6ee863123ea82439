"""Evaluates trained models, with a folder for each kind of question."""
