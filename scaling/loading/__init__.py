"""Where weights and encoders come from, and onto which device and dtype they go."""
