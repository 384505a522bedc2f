"""OPC UA, on asyncua's client."""
