"""The tab that tells which claims hold."""
