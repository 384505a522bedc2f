"""What all screens share: the backend, the language, the draft, and the last that was heard of the gateway.

Owns no screen and no timer. A gateway that goes away leaves its last page in place, marked as old.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from tui.backend.contract import Backend, NeedsGateway, Verdict
from tui.document import DocumentError
from tui.draft import Draft
from tui.flow import Flow, flow
from tui.i18n import Words

__all__ = ["Session"]

_HISTORY: Final = 120


class Session:
    """One sitting at one gateway or file.

    Args:
        backend: where everything comes from.
        words: the language.
        now_s: seconds since 1970.
    """

    def __init__(self, backend: Backend, words: Words, *, now_s: Callable[[], float] = time.time) -> None:
        self.backend = backend
        self.words = words
        self.now_s = now_s
        self.draft: Draft | None = None
        self.draft_problem = ""
        self.verdict: Verdict | None = None
        self.flow: Flow | None = None
        self.silence = ""
        self.heard_s: float | None = None
        self.history: deque[float] = deque(maxlen=_HISTORY)
        self._page: Mapping[str, Any] | None = None

    @property
    def online(self) -> bool:
        """Whether there is a gateway, though it may be silent just now."""
        return self.backend.online

    @property
    def silent_s(self) -> float | None:
        """Seconds since the gateway was last heard; None while it answers, and while nothing was heard at all."""
        return self.now_s() - self.heard_s if self.silence and self.heard_s is not None else None

    def hear(self, page: Mapping[str, Any]) -> None:
        """Takes in a status page."""
        self.flow = flow(page, self._page)
        self._page = page
        self.silence = ""
        self.heard_s = self.now_s()
        if self.flow.in_per_s is not None:
            self.history.append(self.flow.in_per_s)

    def lose(self, text: str) -> None:
        """Notes that the gateway did not answer."""
        self.silence = text

    async def load(self) -> None:
        """Starts a draft from the configuration as it stands; what was not applied is given up.

        Raises:
            TidegateError: it cannot be read.
        """
        told = await self.backend.config()
        self.verdict = None
        try:
            self.draft = Draft(told.text, sha256=told.sha256, is_json=told.file.lower().endswith(".json"))
        except DocumentError as error:
            # The file stays as it is: who broke it by hand mends it by hand.
            self.draft = None
            self.draft_problem = f"{told.file}: {error}"
        else:
            self.draft_problem = told.problem

    async def check(self) -> Verdict | None:
        """Holds the draft against the gateway; None where there is no draft.

        Raises:
            TidegateError: it cannot be asked.
        """
        if self.draft is None:
            return None
        self.verdict = await self.backend.check(self.draft.text)
        return self.verdict

    def tell(self, error: Exception) -> str:
        """An error's text for the person."""
        return self.words("needs_gateway") if isinstance(error, NeedsGateway) else str(error)
