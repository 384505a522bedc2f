"""The room that the spool has: how long it lasts, and what is given up at its limit."""
