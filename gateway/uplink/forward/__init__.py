"""Forwarding a carried file (`gateway.spool.carry`) to a broker, on whatever machine reaches it.

What arrives is what the gateway would have sent: same topics, same payloads, same (seq, part), marked `replayed`. The
status topic is left alone, and the client id is another than the gateway's: it may be connected at the same time.

progress.py   which numbers a broker has, kept beside the file
forward.py    the sending
"""

from gateway.uplink.forward.forward import Forwarded, forward, plan
from gateway.uplink.forward.progress import Progress

__all__ = ["Forwarded", "Progress", "forward", "plan"]
