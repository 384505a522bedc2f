"""Where the screens get everything from: a running gateway, or a configuration file alone."""
