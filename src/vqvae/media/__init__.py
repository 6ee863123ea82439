"""Files of pictures and of sound to arrays, and back."""
