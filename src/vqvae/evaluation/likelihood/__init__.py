"""The likelihood of held-out data, and the role of the latents in it."""
