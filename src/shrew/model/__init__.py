"""The transformer: its configuration, its tensors, and a NumPy forward and backward that a person can read."""
