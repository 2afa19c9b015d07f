"""For all tests: what Hypothesis draws."""

import os

from hypothesis import settings

# A machine may be busy, so no example has a deadline. CI has fixed ones, by a profile of Hypothesis' own.
settings.register_profile("patient", deadline=None)
# Of `make fuzz`: others each time, and more of them where a test does not say how many.
settings.register_profile("anew", deadline=None, derandomize=False, max_examples=2_000, print_blob=True)

if not os.environ.get("CI"):
    settings.load_profile("patient")
