"""How well a model does on data of any kind."""
