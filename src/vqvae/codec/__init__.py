"""Files of codes: the bitstream, and what it takes to decode it."""
