"""How text looks once it is written: ``\\r`` and ``\\b`` go back, what follows replaces."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"([\n\r\b])")


class Screen:
    """Text as a terminal would show it.

    Attributes
    ----------
    above
        The lines that are complete; nothing changes them any more.
    """

    def __init__(self) -> None:
        self.above = ""
        self._line = ""
        self._at = 0

    def __str__(self) -> str:
        return self.above + self._line

    def __bool__(self) -> bool:
        return bool(self.above or self._line)

    @property
    def fresh(self) -> bool:
        """Whether what is written next begins a line."""
        return not self._line

    def write(self, text: str) -> None:
        """Write more."""
        text = text.replace("\r\n", "\n")
        if "\r" not in text and "\b" not in text and self._at == len(self._line):
            above, newline, self._line = (self._line + text).rpartition("\n")
            self.above += above + newline
            self._at = len(self._line)
            return
        for part in _CONTROLS.split(text):
            if part == "\n":
                self.above += f"{self._line}\n"
                self._line, self._at = "", 0
            elif part == "\r":
                self._at = 0
            elif part == "\b":
                self._at = max(self._at - 1, 0)
            else:
                end = self._at + len(part)
                self._line = self._line[: self._at] + part + self._line[end:]
                self._at = end

    def take(self) -> str:
        """Return the complete lines, and forget them."""
        above, self.above = self.above, ""
        return above
