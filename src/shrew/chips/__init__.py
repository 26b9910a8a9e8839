"""Chips: what is known of them, and whether and how fast a model runs there."""
