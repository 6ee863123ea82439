"""Files of codes: entropy coders, and the bitstream around them."""
