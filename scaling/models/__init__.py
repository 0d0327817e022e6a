"""Denoisers: a file a family, and what several share."""
