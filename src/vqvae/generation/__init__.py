"""Sampling codes from priors."""
