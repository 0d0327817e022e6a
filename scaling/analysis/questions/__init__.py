"""What runs can be asked: advice, early stops, best of n from a pool."""
