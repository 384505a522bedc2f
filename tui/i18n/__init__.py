"""The words on the screens, in English and Chinese. No text for people stands anywhere else in `tui`.

What a gateway tells (why a device waits, what is wrong with a configuration) is shown as it comes: it is the same text
that stands in its log, and can be searched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tui.i18n.en import WORDS as EN
from tui.i18n.zh import WORDS as ZH

__all__ = ["CATALOGUES", "LANGUAGES", "Words", "language_of"]

CATALOGUES: Final[Mapping[str, Mapping[str, str]]] = {"en": EN, "zh": ZH}
LANGUAGES: Final = tuple(CATALOGUES)


def language_of(environment: Mapping[str, str]) -> str:
    """The language that the environment asks for (LC_ALL, LC_MESSAGES, LANG); English where we do not have it."""
    asked = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "")
    return asked[:2].lower() if asked[:2].lower() in CATALOGUES else LANGUAGES[0]


class Words:
    """The catalogue of the language that is chosen now.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str = LANGUAGES[0]) -> None:
        self.language = language

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of this key, with its placeholders filled in."""
        text = CATALOGUES[self.language][key]
        return text.format(**values) if values else text

    def known(self, family: str, word: str) -> str:
        """The text of `family.word`; the word itself where the gateway says one that is not in the catalogue."""
        return CATALOGUES[self.language].get(f"{family}.{word}", word)

    def next(self) -> None:
        """Chooses the next language."""
        self.language = LANGUAGES[(LANGUAGES.index(self.language) + 1) % len(LANGUAGES)]
