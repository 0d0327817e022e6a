"""What samples are conditioned on: class labels and prompts, wherever they come from."""
