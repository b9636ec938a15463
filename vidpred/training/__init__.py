"""Training: the only place with an optimizer."""
