"""How likely held-out data is, and what the latents have to do with it."""
