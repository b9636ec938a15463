"""Claims about what a choice does, tested on the runs of a grid: `python -m train.findings RUNS --out DIR`."""
