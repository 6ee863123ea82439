"""Rate and distortion of models, compared with other codecs."""
