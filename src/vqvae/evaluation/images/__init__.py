"""How well a model does on images."""
