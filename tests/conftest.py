"""Settings for all tests."""

from hypothesis import settings

# The time an example takes depends more on the machine's load than on the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
