"""The gap ledger: what is missing, in the spool's file, told to the broker and shown to people."""
