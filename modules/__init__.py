"""Wasm guests: their sources, their build, and the built files that ship with the product."""
