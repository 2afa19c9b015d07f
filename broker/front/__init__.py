"""The front door: everything people and their programs reach by HTTP."""
