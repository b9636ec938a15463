"""Measure vidpred beside the published way of doing it: a command a file, over one harness.

Yardstick and project take turns in one process, and the medians are compared: a shared machine changes its speed from
one minute to the next by more than most changes gain.
"""
