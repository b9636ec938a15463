"""The two layouts on disk, and the way in."""
