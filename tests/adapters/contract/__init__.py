"""What every adapter has to bear, whatever it speaks: one suite, run over each protocol's real server."""
