"""The core of Tidegate: it owns the flow from an adapter's batch to the broker's acknowledgement. Knows no protocol."""

__version__ = "0.1.0"
