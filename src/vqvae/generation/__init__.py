"""Data from codes from priors."""
