"""A world of colored shapes: captions from a small grammar, scenes drawn for them, and a judge that reads them back."""
