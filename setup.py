"""What setup.cfg, where the metadata is, cannot say: an extension that is built with cffi, where it can be."""

from setuptools import setup

setup(cffi_modules=["egress/native/build.py:builder"])
