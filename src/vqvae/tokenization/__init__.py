"""Whole data sets to shards of codes: a plan, engines that carry it out, and a manifest."""
