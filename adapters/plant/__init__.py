"""A simulated plant: real OPC UA and Modbus servers with lively signals, for the demo and the tests."""
