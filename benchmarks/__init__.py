"""Measurements against named peers; each module is a script that prints one table."""
