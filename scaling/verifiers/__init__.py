"""Judges of single images during the search; a file each."""
