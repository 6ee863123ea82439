"""Evaluates models of any kind of data."""
