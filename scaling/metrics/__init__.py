"""Judges of sets of samples, and the networks whose features they read; a file each."""
