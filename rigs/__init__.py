"""Parts that tests and the benchmark play: the world around the product, as far as it has to be there to be tested.

Cameras, viewers, strangers, browsers, networks, and the product itself started as people start it. A rig does what it
is told, over real sockets or as bytes, and judges nothing: that is for the test or the scenario. No rig imports tests
or bench, and the product imports no rig. What stands in for a part of the product is a fake: ``tests/fakes``.
"""
