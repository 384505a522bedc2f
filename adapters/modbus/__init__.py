"""Modbus, on pymodbus's client."""
