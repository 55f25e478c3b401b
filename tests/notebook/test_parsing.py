"""From a line to a command: good ones, and bad ones that name the next step."""

from __future__ import annotations

import pytest
from IPython.core.error import UsageError

from clouditia_jupyter.notebook import actions
from clouditia_jupyter.notebook.commands import COMMANDS, RUN, overview
from clouditia_jupyter.notebook.parsing import HelpAsked, parse_line, parse_run, parser_of


def test_nothing_is_status() -> None:
    assert parse_line("")[0].name == "status"


def test_every_command_has_an_action_and_a_help() -> None:
    for command in COMMANDS:
        assert callable(getattr(actions, command.name))
        with pytest.raises(HelpAsked) as asked:
            parse_line(f"{command.name} --help")
        for argument in command.arguments:
            assert argument.help in " ".join(str(asked.value).split())
        assert f"  {command.magic} " in overview()


@pytest.mark.parametrize("line", ["--help", "-h", "help", "?"])
def test_help_of_all(line: str) -> None:
    with pytest.raises(HelpAsked, match="%%clouditia_run"):
        parse_line(line)


def test_help_of_one_command_by_either_order() -> None:
    with pytest.raises(HelpAsked, match="--cost-limit"):
        parse_line("help create")


def test_create_reads_every_option() -> None:
    command, given = parse_line(
        "create --gpu nvidia-rtx-3090 --gpu nvidia-rtx-4090=2 --gpu a:3 --vcpu 4 --ram 16 "
        "--storage 50 --name 'my session' --cost-limit 5.5 --duration-limit 1h30m --partial "
        "--queue --no-wait --timeout 2m --yes"
    )
    assert command.name == "create"
    assert vars(given) == {
        "gpu": [("nvidia-rtx-3090", None), ("nvidia-rtx-4090", 2), ("a", 3)],
        "count": None,
        "vcpu": 4,
        "ram": 16,
        "storage": 50,
        "name": "my session",
        "cost_limit": 5.5,
        "duration_limit": 5400,
        "partial": True,
        "queue": True,
        "no_wait": True,
        "timeout": 120,
        "yes": True,
    }


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("90m", 5400), ("2h", 7200), ("1.5h", 5400), ("2d", 172800)],
)
def test_times(text: str, seconds: int) -> None:
    assert parse_line(f"create --gpu a --duration-limit {text}")[1].duration_limit == seconds


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sesions", "perhaps you mean sessions"),
        ("frobnicate", "no command 'frobnicate'. See %clouditia --help"),
        ("create --gpus a", "perhaps you mean --gpu"),
        ("create --gpu a --count 0", "--count: must be 1 or more, not 0"),
        ("create --gpu a=0", "--gpu: must be 1 or more"),
        ("create --gpu a=b", "whole number, not 'b'"),
        ("create --gpu =2", "must begin with a GPU type"),
        ("create --gpu a --cost-limit -3", "--cost-limit: must be above 0, not -3"),
        ("create --gpu a --duration-limit -5m", "--duration-limit:"),
        ("create --gpu a --cost-limit nan", "must be above 0, not nan"),
        ("create --gpu a --duration-limit 0", "1 second or more"),
        ("create --gpu a --duration-limit -5", "must be a time such as"),
        ("create --gpu a --duration-limit soon", "must be a time such as 3600, 90m or 2h"),
        ("create --gpu a --name ''", "must not be empty"),
        ("create --gpu", "expected one argument. See %clouditia create --help"),
        ("create --gpu 'a", "a quote is opened and not closed"),
        ("use", "SESSION"),
        ("queue shw", "invalid choice: 'shw'"),
        ("sessions --status ready", "must be one of pending, creating, running"),
        ("key --to 2x", "must be the name of a variable"),
        ("balance now", "now means nothing here"),
    ],
)
def test_bad_lines_are_usage_errors_of_exactly_that_class(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_line(line)
    assert type(caught.value) is UsageError
    assert says in str(caught.value)


def test_run_reads_variables_both_ways() -> None:
    given = parse_run("-i 'a,b=f(x, [1, 2]),c=d[\"k\"]' -i e -o m,n=other --timeout 5m --session s")
    assert given.input == {"a": "a", "b": "f(x, [1, 2])", "c": "d['k']", "e": "e"}
    assert given.output == {"m": "m", "n": "other"}
    assert (given.timeout, given.session) == (300, "s")


def test_run_alone_has_nothing_to_send() -> None:
    given = parse_run("")
    assert (given.input, given.output, given.timeout, given.session) == ({}, {}, None, None)


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("-i b=1,a", {"b": "1", "a": "a"}),
        ("-i 'f=lambda x, y: x,a'", {"f": "lambda x, y: x", "a": "a"}),
        ("-i 't=(1, 2),d={1: [3, 4]},'", {"t": "(1, 2)", "d": "{1: [3, 4]}"}),
        ("""-i "s='a,b',c" """, {"s": "'a,b'", "c": "c"}),
    ],
)
def test_names_and_expressions_in_any_order(line: str, pairs: dict[str, str]) -> None:
    assert parse_run(line).input == pairs


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-i x.shape", "'x.shape' needs a name: name=x.shape"),
        ("-i a,,b", "must be like a,b=expression"),
        ("-i **x", "must be like a,b=expression"),
        ("-i ''", "names no variable"),
        ("-o m=a.b", "'a.b' is no name"),
        ("--bg_ x", "means nothing here"),
    ],
)
def test_bad_run_lines(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_run(line)
    assert says in str(caught.value)


def test_a_parser_never_exits() -> None:
    with pytest.raises(UsageError):
        parser_of(RUN).exit(2, "no")
