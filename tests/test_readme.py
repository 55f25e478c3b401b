"""The README says what the code does. ``python -m tests.test_readme`` writes its tables anew."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from clouditia_jupyter.config import Settings
from clouditia_jupyter.notebook.commands import COMMANDS, LOCAL, RUN, Command
from clouditia_jupyter.notebook.parsing import parse_line, parse_run
from clouditia_jupyter.platform.options import _parser as platform_parser
from tests.running import RunningPlatform

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
MARK = "<!-- {name}: python -m tests.test_readme writes this table -->\n"


def table(*rows: tuple[str, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *rest = (f"| {' | '.join(row)} |\n" for row in rows)
    return f"{head}|{'---|' * len(rows[0])}\n{''.join(rest)}"


def code(words: Iterable[str]) -> str:
    return f"`{' '.join(word for word in words if word)}`"


def command_row(command: Command) -> tuple[str, str, str]:
    """Return a command with its positional arguments, its options, and what it does."""
    positional, options = [command.magic], []
    for argument in command.arguments:
        name, settings = argument.names[-1], argument.settings
        value = settings.get("metavar") or "/".join(settings.get("choices", ()))
        if not name.startswith("-"):
            positional.append(f"[{value}]" if settings.get("nargs") in ("?", "*") else value)
        elif settings.get("action") == "store_true":
            options.append(code([", ".join(argument.names)]))
        else:
            options.append(code([", ".join(argument.names), value or name[2:].upper()]))
    return code(positional), " ".join(options), command.summary


def option_row(action: argparse.Action) -> tuple[str, str]:
    """Return an option of the platform, and what it sets."""
    value = action.metavar or "/".join(action.choices or ()) or action.dest.upper()
    words = [action.option_strings[-1], "" if action.nargs == 0 else str(value)]
    return code(words), str(action.help) % {"default": action.default}


def tables() -> dict[str, str]:
    """Return the README's tables, made of the code."""
    commands = [command_row(command) for command in (*COMMANDS, RUN, LOCAL)]
    traits = sorted(Settings.class_traits(config=True).items())
    options = [option_row(a) for a in platform_parser()._actions if a.dest != "help"]
    return {
        "commands": table(("command", "options", "what it does"), *commands),
        "settings": table(
            ("setting", "what it sets"), *((code([name]), trait.help) for name, trait in traits)
        ),
        "platform": table(("option", "what it sets"), *options),
    }


def section(text: str, name: str) -> tuple[int, int]:
    """Return where the table of that name begins and ends."""
    mark = MARK.format(name=name)
    begin = text.index(mark) + len(mark)
    return begin, text.index("<!-- end -->", begin)


@pytest.mark.parametrize("name", tables())
def test_a_table_says_what_the_code_says(name: str) -> None:
    begin, end = section(TEXT, name)
    assert TEXT[begin:end] == tables()[name], "run python -m tests.test_readme"


def test_every_option_of_the_platforms_help_is_in_its_table() -> None:
    command = [sys.executable, "-m", "clouditia_jupyter.platform", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    begin, end = section(TEXT, "platform")
    options = set(re.findall(r"--[a-z][a-z-]+", shown)) - {"--help"}
    assert options == set(re.findall(r"`(--[a-z-]+)", TEXT[begin:end]))


def test_every_magic_shown_can_be_read() -> None:
    lines = [line for _, block in BLOCKS for line in block.splitlines()]
    commands = [line.removeprefix("%clouditia") for line in lines if line.startswith("%clouditia")]
    runs = [line.removeprefix("%%clouditia_run") for line in lines if line.startswith("%%")]
    assert len(commands) >= 4 and len(runs) >= 2
    for line in commands:
        parse_line(line)
    for line in runs:
        parse_run(line)


def test_every_target_shown_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = set(re.findall(r"\bmake ([a-z]+)\b(?= |`|$)", "\n".join(b for _, b in BLOCKS), re.M))
    assert {"demo", "lab", "test"} <= shown
    assert [name for name in shown if f"\n{name}:" not in makefile] == []


def test_every_file_linked_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_python_shown_runs(
    platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLOUDITIA_API_KEY", platform.where["api_key"])
    monkeypatch.setenv("CLOUDITIA_BASE_URL", platform.where["computing_url"])
    monkeypatch.setenv("CLOUDITIA_EDITOR_URL", platform.where["code_editor_url"])
    (shown,) = [block for language, block in BLOCKS if language == "python"]
    namespace: dict[str, object] = {}
    exec(compile(shown, str(README), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "trained with 0.1" in printed
    assert "workspace" in printed
    assert getattr(namespace["stopped"], "status", None) == "stopped"


if __name__ == "__main__":
    written = TEXT
    for name, text in tables().items():
        begin, end = section(written, name)
        written = written[:begin] + text + written[end:]
    README.write_text(written, encoding="utf-8")
