"""Training: the loop, which chooses a backend; optimisers and schedules; the second stage in ``correct/``."""
