"""Facts about chips, and whether and how fast a model runs on them."""
