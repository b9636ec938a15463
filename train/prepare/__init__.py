"""What goes in and out: simulate clips, import films, BAIR's TFRecords or a checkpoint, bundle a run for others."""
