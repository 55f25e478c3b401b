"""What the computing API's requests carry. Bounds stand here, so that OpenAPI shows them too."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

SessionId = Annotated[
    str, Field(max_length=100, description="A session's id, or its first 8 characters.")
]
QueueId = Annotated[
    str, Field(max_length=100, description="A ticket's id, or its first 8 characters.")
]
Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"
    ),
]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Slug = Annotated[str, Field(min_length=1, max_length=100, examples=["nvidia-rtx-3090"])]
Vcpu = Annotated[int, Field(ge=1, le=256)]
Ram = Annotated[int, Field(ge=1, le=4096, description="GB")]
Storage = Annotated[int, Field(ge=1, le=65_536, description="GB")]

#: Ten years.
_LONGEST_DURATION = 315_360_000


class Body(BaseModel):
    """A JSON object; fields that this platform does not know are ignored."""

    model_config = ConfigDict(extra="ignore")


class GPUWish(Body):
    """So many GPUs of one type."""

    type: Slug
    count: Count = 1


class CreateSession(Body):
    """A session to create: either ``gpu_type`` and ``gpu_count``, or ``gpus``."""

    gpu_type: Slug | None = None
    gpu_count: Count = 1
    gpus: Annotated[list[GPUWish], Field(max_length=100)] | None = None
    vcpu: Vcpu = 2
    ram: Ram = 4
    storage: Storage = 20
    allow_partial: bool = False
    queue_if_unavailable: bool = False
    cost_limit: Annotated[float, Field(ge=0.01, le=1_000_000, allow_inf_nan=False)] | None = None
    duration_limit: Annotated[int, Field(ge=1, le=_LONGEST_DURATION)] | None = None
    extra_config: Annotated[dict[str, Any], Field(max_length=100)] | None = None
    environment_id: Annotated[str, Field(max_length=100)] | None = None
    cluster_id: Annotated[str, Field(max_length=100)] | None = None


class OneSession(Body):
    """A session to act on."""

    session_id: SessionId


class RenameSession(OneSession):
    """A session and its new name."""

    name: Name


class AddGPU(OneSession):
    """GPUs to add to a running session."""

    gpu_type: Slug
    gpu_count: Count = 1


class GenerateKey(OneSession):
    """A session, and what to call the key."""

    name: Annotated[str, Field(max_length=100)] = "SDK key"


class SessionIds(Body):
    """Several sessions."""

    session_ids: Annotated[list[SessionId], Field(max_length=1000)]


class OneTicket(Body):
    """A ticket to act on."""

    queue_id: QueueId


class PauseSession(OneSession):
    """A session to pause, and what to change when it resumes."""

    name: str | None = None
    gpu: list[GPUWish] | None = None
    vcpu: int | None = None
    ram: int | None = None
    storage: int | None = None


class Email(Body):
    """A message to the account's owner."""

    subject: Annotated[str, Field(max_length=200)]
    message: Annotated[str, Field(max_length=10_000)]
    to: str | None = None


class RunLambda(Body):
    """A script to run once in a session of its own."""

    script: str
    gpu_type: str | None = None
    vcpu: int | None = None
    ram: int | None = None
    storage: int | None = None
    lambda_id: str | None = None
    timeout: float | None = None
    environment_id: str | None = None
