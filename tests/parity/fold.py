"""What a cell's saved outputs come to: what a reader sees, without what differs by chance."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

#: One entry an output, in order: ``(kind, what it shows)``.
Folded: TypeAlias = "list[tuple[str, Any]]"

_TIME = r"\d+(?:\.\d+)?(?:e[+-]?\d+)? ?(?:ns|[µμu]s|ms|s|min)\b"
#: What two runs of the same code in two kernels say differently, and what stands for it.
_BY_CHANCE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b(?:0x[0-9a-f]{6,}|(?<=object at )[0-9a-f]{8,})", "0x…"),
        (r"/[\w./-]*/ipykernel_\d+/\d+\.py", "<cell>"),
        (r"<ipython-input-\d+-[0-9a-f]+>", "<cell>"),
        (r"\b(In|Out) ?\[(?:\x1b\[[\d;]*m)*\d+(?:\x1b\[[\d;]*m)*\]", r"\1[…]"),
        (r"(CPU times|Wall time|Compiler *):.*", r"\1: …"),
        (_TIME, "…s"),
        (r"cell_meta=(?:None|{})", "cell_meta=…"),
        (r"\d+ (runs?), [\d,]+ (loops?) each", r"… \1, … \2 each"),
        (r"\bT_[0-9a-f]{5}", "T_…"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (r"\b[0-9a-f]{32}\b", "<hex>"),
        # of figures as SVG
        (r"\b[pm][0-9a-f]{10}\b|<dc:date>.*?</dc:date>", "…"),
    )
]


#: The home folder, not what Python draws below a line of a traceback.
_HOME = re.compile(r"(?<![~^])~(/|(?=['\n]))")

#: A frame of what executes cells, there or here: where ``input`` is refused, for one.
_OF_KERNEL = re.compile(
    r"(?ms)^(?:\x1b\[[\d;]*m)*File [^\n]*/(?:ipykernel|clouditia_\w+)/[\w/]+\.py.*"
)


class Fold:
    """Folds the outputs of one side's cells.

    Parameters
    ----------
    folder, home
        Where this side's cells worked, and what was ``~`` there.
    """

    def __init__(self, folder: str, home: str) -> None:
        self._folder, self._home = folder, home

    def __call__(self, outputs: Iterable[Any]) -> Folded:
        """Return the outputs of one cell as one entry each.

        Text of one stream between two other outputs is one entry, standard output's first: in
        which order the two are sent is chance. A result and a display are alike.
        """
        folded: Folded = []
        texts: dict[str, str] = {}

        def end_texts() -> None:
            folded.extend((name, self._text(texts[name])) for name in sorted(texts, reverse=True))
            texts.clear()

        for output in outputs:
            if output["output_type"] == "stream":
                name = output["name"]
                texts[name] = texts.get(name, "") + output["text"]
                continue
            end_texts()
            if output["output_type"] == "error":
                trace = self._text("\n".join(output["traceback"]))
                # how often a frame is there again depends on the depth of the stack
                frames = [_OF_KERNEL.sub("", frame) for frame in trace.split("\n\n")]
                frames = [frame for frame, _ in groupby(filter(None, frames))]
                error = {"ename": output["ename"], "evalue": self._text(output["evalue"])}
                folded.append(("error", {**error, "traceback": frames}))
            else:
                shown = {"data": output["data"], "metadata": output["metadata"]}
                folded.append(("display", self._shown(shown)))
        end_texts()
        return folded

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {name: self._shown(part) for name, part in value.items()}
        return [self._shown(part) for part in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        # IPython shortens paths by the home folder, which is another in a session
        text = _HOME.sub(f"{self._home}\\1", text).replace(self._folder, "<folder>")
        for pattern, replacement in _BY_CHANCE:
            text = pattern.sub(replacement, text)
        return text
