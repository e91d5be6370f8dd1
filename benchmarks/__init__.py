"""Measurements, many against named peers; each module named in a report is a script that prints its tables."""
