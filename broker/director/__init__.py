"""The broker's control logic, pure: what is wanted of the cluster, what its workers report, and the difference.

``director`` takes the events in, and has each part do its own: the modules are the parts, with what they compare.
"""
