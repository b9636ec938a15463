"""A corpus of hostile and broken input, and the doors it is handed in at."""
