"""Load for the bench of the whole path: PLCs that cost little, a listener that counts, and /proc as the judge."""
