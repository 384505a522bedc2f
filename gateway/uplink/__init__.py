"""The uplink: publishes what the spool holds, live first, and acknowledges it to the spool."""
