"""Run folders as values."""
