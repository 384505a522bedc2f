"""Tests of the adapters, one folder each."""
