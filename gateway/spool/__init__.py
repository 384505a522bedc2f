"""The spool: readings that were accepted stay here until the broker has acknowledged them."""
