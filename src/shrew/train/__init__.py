"""Training: the loop, its optimisers and schedules, and the run folder it writes."""
