"""Train, look into and understand variational video prediction."""
