"""The experiments of the two articles, as data: what is trained, what is claimed, how to tell whether that holds.

"Learning Rate Decay" (GeeksforGeeks, 2025) is article a, "Problems with fixed and decaying learning rates"
(MachineCurve, 2019, updated 2021) article b. Needs no TensorFlow.
"""
