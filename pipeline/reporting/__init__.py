"""Figures of the experiments, the answer in words, and the HTML report that holds both."""
