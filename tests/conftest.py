"""For all tests: what Hypothesis draws."""

import os

from hypothesis import settings

# A machine may be busy, so no example has a deadline: one that is missed would say nothing of the code.
settings.register_profile("patient", deadline=None)
# Of CI: a failure is to be of the change that is being looked at. Releases of Hypothesis differ in what they do there.
settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True)
# Of `make fuzz`: others each time, and more of them where a test does not say how many.
settings.register_profile("anew", deadline=None, derandomize=False, max_examples=2_000, print_blob=True)

settings.load_profile("fixed" if os.environ.get("CI") else "patient")
