"""Figures of the experiments, the answer in words, and the pages that show both."""
