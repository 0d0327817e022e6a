"""What `scaling-study` calls: plans, status, pruning, archives."""
