"""What the computing API answers, field for field as on the wire."""

from typing import Any

from pydantic import BaseModel


class Refusal(BaseModel):
    """The error envelope; some refusals carry further fields."""

    success: bool = False
    error: str
    code: str


class Done(BaseModel):
    """It worked."""

    success: bool = True
    message: str = ""


class User(BaseModel):
    """Whose key it is."""

    username: str
    email: str


class Verified(BaseModel):
    """The key is good. ``capabilities`` is what this platform can beyond the stock service."""

    valid: bool = True
    user: User
    capabilities: list[str] = []


class GPUQuantity(BaseModel):
    """So many GPUs of one type."""

    slug: str
    quantity: int


class LimitsAnswer(BaseModel):
    """EUR and seconds after which the session stops by itself."""

    cost_limit: float | None
    duration_limit: int | None
    auto_stop_enabled: bool


class SessionAnswer(BaseModel):
    """A session; the fields from ``hourly_rate`` on are not there on the stock service."""

    id: str
    name: str
    status: str
    gpu_type: str
    gpu_count: int
    gpus: list[GPUQuantity]
    vcpu: int
    ram: str
    storage: str
    vscode_port: int | None
    jupyter_port: int | None
    password: str
    url: str
    created_at: str
    started_at: str | None
    limits: LimitsAnswer
    ready: bool
    estimated_ready_in_seconds: float | None
    workspace_sync: dict[str, Any] | None
    creation_step: str
    creation_error: str
    environment_id: str | None
    hourly_rate: float = 0.0
    cost: float = 0.0
    ended_at: str | None = None
    stop_reason: str | None = None
    clock_rate: float = 1.0


class OneSessionAnswer(BaseModel):
    """One session."""

    success: bool = True
    session: SessionAnswer


class CreatedAnswer(BaseModel):
    """A session being created, or a place in the queue."""

    success: bool = True
    session: SessionAnswer | None = None
    queued: bool = False
    queue_id: str = ""
    position: int = 0
    message: str = ""
    unavailable_gpus: list[str] = []
    available_gpus: list[str] = []


class SessionsAnswer(BaseModel):
    """Sessions, newest first."""

    success: bool = True
    sessions: list[SessionAnswer]


class KeyAnswer(BaseModel):
    """A new key; it cannot be read again."""

    success: bool = True
    api_key: str


class CostAnswer(BaseModel):
    """What a session has cost so far; EUR and seconds."""

    session_id: str
    short_id: str
    name: str
    status: str
    cost: float
    hourly_rate: float
    duration_seconds: float
    duration_hours: float
    duration_display: str
    started_at: str | None
    ended_at: str | None
    currency: str = "EUR"


class OneCostAnswer(CostAnswer):
    """What one session has cost so far."""

    success: bool = True


class CostsAnswer(BaseModel):
    """What several sessions have cost so far; EUR and seconds."""

    success: bool = True
    sessions: list[CostAnswer]
    session_count: int
    total_cost: float
    total_duration_seconds: float
    total_duration_display: str
    currency: str = "EUR"


class StockItem(BaseModel):
    """One GPU type on offer; EUR per hour and GPU."""

    gpu_type: str
    gpu_name: str
    available: int
    on_demand: int
    in_use: int
    total: int
    price_per_hour: float
    datacenter: str
    datacenter_code: str
    cluster_id: str
    cluster_name: str


class InventoryAnswer(BaseModel):
    """The GPU types on offer."""

    success: bool = True
    inventory: list[StockItem]


class ClusterItem(BaseModel):
    """A group of machines that sessions run on."""

    cluster_id: str
    name: str
    is_primary: bool
    gpu_count: int


class ClustersAnswer(BaseModel):
    """The clusters; an embedded platform has one, this machine."""

    success: bool = True
    clusters: list[ClusterItem]


class BalanceAnswer(BaseModel):
    """What is left to spend, with what runs now taken off."""

    success: bool = True
    balance: float
    currency: str = "EUR"


class QueueJobAnswer(BaseModel):
    """A ticket: a place in the queue."""

    queue_id: str
    position: int
    status: str
    status_display: str
    gpu_config: dict[str, Any]
    vcpu: int
    ram: int
    storage: int
    allow_partial: bool
    attempt_count: int
    last_attempt_at: str | None
    last_error: str | None
    created_at: str
    created_session_id: str | None


class AttemptAnswer(BaseModel):
    """One try to serve a ticket."""

    attempt_id: str
    success: bool
    error_message: str | None
    available_gpus: list[str]
    unavailable_gpus: list[str]
    attempted_at: str


class QueueAnswer(BaseModel):
    """The tickets, first come first."""

    success: bool = True
    queue_jobs: list[QueueJobAnswer]


class OneTicketAnswer(BaseModel):
    """A ticket and the tries to serve it."""

    success: bool = True
    queue_job: QueueJobAnswer
    attempts: list[AttemptAnswer]
