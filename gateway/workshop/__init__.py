"""The workshop: what somebody who writes a module needs. Nothing of it runs in a gateway."""
