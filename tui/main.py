"""Starts the application: finds out whether a gateway answers, else works on the file alone."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.control import client
from gateway.errors import TidegateError
from tui.app import TidegateApp
from tui.backend.contract import Backend
from tui.backend.offline import Check, ConfigFile
from tui.backend.running import RunningGateway
from tui.i18n import Words, language_of
from tui.session import Session

__all__ = ["backend_for", "run"]


def backend_for(*, file: Path | None, socket: Path | None, check: Check) -> Backend:
    """The gateway behind the socket where one answers, else the file.

    Args:
        file: the configuration; None where only a socket is known.
        socket: the control socket; None where none is known.
        check: checks a configuration's text.
    """
    if socket is not None and (file is None or _answers(socket)):
        return RunningGateway(socket)
    assert file is not None, "either a file or a socket is needed"
    return ConfigFile(file, check=check)


def run(*, file: Path | None, socket: Path | None, language: str | None, check: Check) -> int:
    """Runs the application until it is left.

    Args:
        file: the configuration; None where only a socket is known.
        socket: the control socket; None where none is known.
        language: `en` or `zh`; the environment's where None.
        check: checks a configuration's text.

    Returns:
        The exit status.
    """
    words = Words(language or language_of(os.environ))
    app = TidegateApp(Session(backend_for(file=file, socket=socket, check=check), words))
    app.run()
    return app.return_code or 0


def _answers(socket: Path) -> bool:
    try:
        client.status(socket)
    except TidegateError:
        return False
    return True
