"""Reads run folders: statistics, curves, figures, the report and the Weights & Biases publisher."""
