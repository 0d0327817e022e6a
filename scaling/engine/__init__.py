"""One block of conditions on one device: search, batches, winners."""
