"""The control socket: HTTP over a Unix socket, and the client that speaks to it."""
