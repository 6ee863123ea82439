"""Classifiers of real data, which say what models have made."""
