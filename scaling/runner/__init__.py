"""A study from its description to its last block, by one worker or many."""
