"""Settings of all tests."""

from hypothesis import settings

# The same examples every time: what fails for one fails for all. `--hypothesis-profile=explore`
# looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")
