"""What was computed, kept on disk under its identity: records, leases, streams."""
