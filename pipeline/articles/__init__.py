"""The experiments of the two articles as data: what is trained, what is claimed, and how each claim is judged.

Article a is "Learning Rate Decay" (GeeksforGeeks, 2025), article b "Problems with fixed and decaying learning rates"
(MachineCurve, 2019, updated 2021). Needs no TensorFlow.
"""
