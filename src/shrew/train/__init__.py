"""Training: the loop, which chooses a backend; optimisers and schedules; in ``correct/`` the second stage."""
