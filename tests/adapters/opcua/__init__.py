"""Tests of the OPC UA adapter, most of them against asyncua's own server."""
