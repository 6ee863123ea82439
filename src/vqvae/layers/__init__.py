"""Building blocks that do not depend on the model."""
