"""Commands: writes to devices that come as messages. Policy, audit, write, read-back, reply.

Invariants
- Nothing is written to a device without a policy's yes, and not before that yes is on disk.
- An id is carried out at most once, also across a crash: its second message is given the answer of its first. What a
  crash interrupted is answered as failed, result unknown, and is not tried again.
- One command at a time for each device, in the order of arrival; a bounded number waits, what exceeds it is refused.
- A command that came too late is not carried out, and a retained message is never a command.
- Each message is answered and counted, except one whose id cannot be read: that is only counted.

It refuses to authenticate: the user in a command is what its sender says. Who may publish commands is the broker's to
decide. It knows neither MQTT nor a protocol: messages are handed in, replies out, and a device is a `Target`.
"""

from gateway.commands.commands import Commands
from gateway.commands.configure import configured, may_configure
from gateway.commands.target import Target

__all__ = ["Commands", "Target", "configured", "may_configure"]
