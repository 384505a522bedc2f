"""Tests; the folders mirror the source tree, plus e2e, chaos and bench."""
