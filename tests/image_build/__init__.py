"""Checks of the container image: run by `make test-image`, and by nothing else.

Their files are not called test_*, so that `make test`, which needs neither root rights nor an image, passes them by.
"""
