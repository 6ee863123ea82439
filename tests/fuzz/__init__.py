"""Fuzzers: seeded, bounded, and each failing case is named by a command that repeats it."""
