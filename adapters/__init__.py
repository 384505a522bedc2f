"""Southbound protocols, one folder each, all behind the contract in `adapters.base`."""
