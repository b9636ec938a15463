"""Clips from a physics engine, and stepping it by hand. Needs the optional simulator packages."""
