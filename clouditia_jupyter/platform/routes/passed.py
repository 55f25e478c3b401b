"""The calls of the code-editor API that a session's pod answers."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from clouditia_jupyter.platform.bodies import Body

Code = Annotated[str, Field(description="Python code")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ParcelId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class ExecuteIn(Body):
    """Code for a namespace that persists."""

    persistent_id: str
    code: Code
    timeout: Seconds | None = None


class Namespace(Body):
    """A namespace that persists."""

    persistent_id: str


class Execute(Body):
    """Code to run by itself."""

    code: Code
    timeout: Seconds | None = None


class Shell(Body):
    """A shell command."""

    command: str
    timeout: Seconds | None = None


class Submit(Body):
    """A job to run in the background."""

    code: str
    name: str = ""
    type: Literal["python", "shell"] = "python"


class Job(Body):
    """A job."""

    job_id: str


class JobLogs(Job):
    """A job, and how many of its last lines to show."""

    tail: Annotated[int, Field(ge=0)] = 50


class JobFilter(Body):
    """Which jobs to list."""

    limit: Annotated[int, Field(ge=1)] = 50
    status: str | None = None


class Run(Body):
    """A run to start; its id, chosen by the client, makes a repeated request harmless."""

    code: Code
    run_id: RunId | None = None
    silent: bool = False
    store_history: bool = True
    allow_stdin: bool = False
    limit: Seconds | None = None


class RunEvents(Body):
    """Which events of a run to send: those after this one, less the first bytes of them."""

    after: Annotated[int, Field(ge=0)] = 0
    offset: Annotated[int, Field(ge=0)] = 0


class Answer(Body):
    """What the user says to a run's ``input_request``, the event of this number."""

    request: Annotated[int, Field(ge=1)]
    value: str


class Asked(Body):
    """A run's ``input_request``, and how long to wait until nobody needs its answer any more."""

    request: Annotated[int, Field(ge=1)]
    wait: Annotated[float, Field(ge=0, le=20)] = 0.0


class Message(Body):
    """A Jupyter message from a front end to one of the session's widgets."""

    msg_id: Annotated[str, Field(min_length=1, max_length=200)]
    type: Literal["comm_open", "comm_msg", "comm_close"]
    content: dict[str, Any]
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]
    buffers: Annotated[list[str], Field(default_factory=list, description="In base64")]
    subshell: bool = False


class Question(Body):
    """Code, and the place in it that a completion or help is wanted for."""

    code: str
    cursor_pos: Annotated[int, Field(ge=0)]
    detail_level: Literal[0, 1] = 0


class Bind(Body):
    """The parcel of variables to put into the session."""

    parcel: ParcelId


class Fetch(Body):
    """The variables to fetch, and the parcel to put them into."""

    names: list[str]
    parcel: ParcelId
    allow_pickle: bool = False


class Names(Body):
    """Names to look for, and modules to import where their names are not there."""

    names: Annotated[list[str], Field(default_factory=list)]
    modules: Annotated[dict[str, str], Field(default_factory=dict)]


class PodAnswer(BaseModel):
    """What the pod says; the fields depend on the call."""

    success: bool
    output: str | None = None
    result: Any = None
    error: str | None = None
    exit_code: int | None = None
    persistent_id: str | None = None
    job_id: str | None = None
    status: str | None = None
    logs: str | None = None
    jobs: list[dict[str, Any]] | None = None
    runs: list[dict[str, Any]] | None = None
    open: bool | None = None
    answer: dict[str, Any] | None = None
    refused: str | None = None
    present: list[str] | None = None
    imported: list[str] | None = None
    failed: dict[str, str] | None = None


class Call(NamedTuple):
    """One call: how it is made, what it carries, what comes back."""

    method: str
    path: str
    summary: str
    body: type[Body] | None = None
    query: type[Body] | None = None
    media_type: str = "application/json"


_EVENTS = "application/x-ndjson"
_BYTES = "application/octet-stream"

#: What clouditia.com serves too.
STOCK = (
    Call("POST", "/session/start/", "Make a namespace that persists."),
    Call("POST", "/session/exec/", "Run code in such a namespace.", ExecuteIn),
    Call("POST", "/session/stop/", "End such a namespace.", Namespace),
    Call("POST", "/execute/", "Run code by itself.", Execute),
    Call("POST", "/stream/", "Run code, send its output.", Execute, media_type="text/event-stream"),
    Call("POST", "/shell/", "Run a shell command.", Shell),
    Call("POST", "/jobs/submit/", "Run a job in the background.", Submit),
    Call("GET", "/jobs/status/", "Show a job's status.", query=Job),
    Call("GET", "/jobs/logs/", "Show a job's last lines.", query=JobLogs),
    Call("GET", "/jobs/result/", "Show a job's result.", query=Job),
    Call("POST", "/jobs/cancel/", "End a job.", Job),
    Call("GET", "/jobs/list/", "List the jobs.", query=JobFilter),
)
#: What only this platform serves; ``capabilities`` say so.
EXTENSIONS = (
    Call("POST", "/runs/", "Start a run, or attach to it.", Run, media_type=_EVENTS),
    Call("GET", "/runs/", "List the runs."),
    Call("GET", "/runs/{run_id}/events/", "Send a run's events.", None, RunEvents, _EVENTS),
    Call("POST", "/runs/{run_id}/interrupt/", "Interrupt a run."),
    Call("POST", "/runs/{run_id}/input/", "Answer a run's question.", Answer),
    Call("GET", "/runs/{run_id}/input/", "Say whether a question is open.", query=Asked),
    Call("POST", "/messages/", "Send a message to a widget.", Message),
    Call("GET", "/events/", "Send what happens outside of runs.", None, RunEvents, _EVENTS),
    Call("POST", "/kernel/restart/", "Start a fresh kernel."),
    Call("POST", "/complete/", "Complete a name, if the kernel is free.", Question),
    Call("POST", "/inspect/", "Show help on a name, if the kernel is free.", Question),
    Call("PUT", "/parcels/{parcel}", "Send a parcel of variables."),
    Call("GET", "/parcels/{parcel}", "Receive a parcel of variables.", media_type=_BYTES),
    Call("POST", "/values/", "Put a parcel's variables into the session.", Bind),
    Call("POST", "/values/fetch/", "Put variables of the session into a parcel.", Fetch),
    Call("POST", "/names/", "Say which names there are, and import modules.", Names),
)
