"""How well a model does on speech."""
