"""Rate and distortion: compressed data of a model beside other codecs."""
