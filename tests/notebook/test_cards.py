"""Cards: a session, an inventory and a ticket as the last expression of a cell."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from clouditia_jupyter import GPUInventory, GPUSession, QueueJob
from clouditia_jupyter.models import Cluster, Inventory

if TYPE_CHECKING:
    from tests.notebook.conftest import Local, Shell

# jupyter_client leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

SCRIPT = "<img src=x onerror=alert(1)>"
SESSION = GPUSession(
    id="0f14d0ab-9605-4a62-a9e4-5ed26688389b",
    name=SCRIPT,
    status="running",
    gpu_type=SCRIPT,
    url=f"https://clouditia.com/{SCRIPT}/",
    password="hunter2",
    creation_error=SCRIPT,
    stop_reason=SCRIPT,
    hourly_rate=0.98,
    cost=0.05,
)
OFFER = GPUInventory(
    gpu_type="nvidia-rtx-3090",
    gpu_name=SCRIPT,
    available=1,
    total=2,
    price_per_hour=0.98,
    datacenter=SCRIPT,
)
TICKET = QueueJob(
    queue_id=SCRIPT, position=2, gpu_config={"gpus": [{"type": SCRIPT}]}, last_error=SCRIPT
)
ITEMS = [SESSION, Inventory([OFFER]), TICKET, OFFER]


def _formats(shell: Shell, item: Any, **options: Any) -> dict[str, Any]:
    data, _ = shell.ip.display_formatter.format(item, **options)
    return dict(data)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_a_card_shows_the_text_of_others_as_text(bare_shell: Shell, item: Any) -> None:
    html = _formats(bare_shell, item)["text/html"]
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "hunter2" not in html


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_the_text_is_what_it_would_be_without_cards(bare_shell: Shell, item: Any) -> None:
    many = Inventory([OFFER] * 3) if isinstance(item, Inventory) else item
    for one in (item, many, Inventory()):
        plain = list(one) if isinstance(one, Inventory) else one
        text = _formats(bare_shell, one)["text/plain"]
        assert text == bare_shell.ip.display_formatter.formatters["text/plain"](plain)
        assert "hunter2" not in text


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_include_and_exclude_are_honoured(bare_shell: Shell, item: Any) -> None:
    assert set(_formats(bare_shell, item)) == {"text/plain", "text/html"}
    assert set(_formats(bare_shell, item, include=["text/plain"])) == {"text/plain"}
    assert set(_formats(bare_shell, item, exclude=["text/plain"])) == {"text/html"}
    assert set(item._repr_mimebundle_(include={"text/html"})) == {"text/html"}
    both = item._repr_mimebundle_(include={"text/html"}, exclude={"text/html"})
    assert both == {}


def test_what_has_no_card_shows_its_text(bare_shell: Shell) -> None:
    assert set(_formats(bare_shell, Cluster(cluster_id="a"))) == {"text/plain"}


def test_an_inventory_is_a_list() -> None:
    assert isinstance(Inventory(), list)
    assert not Inventory()
    assert [item.gpu_type for item in Inventory([OFFER])] == ["nvidia-rtx-3090"]
    assert Inventory([OFFER]) == [OFFER]


def test_a_card_says_what_a_session_costs_and_its_step_while_it_is_made(bare_shell: Shell) -> None:
    assert "0.0500 EUR so far, 0.98 EUR per hour" in _formats(bare_shell, SESSION)["text/html"]
    made = GPUSession(id="a" * 36, name="b", status="creating", creation_step="deploying")
    html = _formats(bare_shell, made)["text/html"]
    assert re.search(r'data-status="creating">creating · deploying<', html)


def test_cards_import_nothing_heavy() -> None:
    code = (
        "import sys, clouditia_jupyter\n"
        "session = clouditia_jupyter.GPUSession(id='a' * 36)\n"
        "assert 'text/html' in session._repr_mimebundle_()\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pandas", "ipywidgets", "IPython", "httpx"} & set(done.stdout.split())


def test_cells_show_cards_in_a_notebook(local: Local) -> None:
    cells = [
        "from clouditia_jupyter import GPUManager",
        "%load_ext clouditia_jupyter\n%clouditia inventory\n%clouditia create "
        "--gpu nvidia-rtx-3060ti --vcpu 1 --ram 1 --name '<b>bold</b>'",
        "%clouditia show",
        "manager = get_ipython().magics_manager.registry['ClouditiaMagics']"
        ".connection_now().open()\nmanager.list_sessions()[0]",
        "manager.get_inventory()",
        "manager.create_session('nvidia-rtx-3060ti', 2, vcpu=1, ram=1, verbose=False, "
        "queue_if_unavailable=True)\n"
        "manager.list_queue_jobs()[0]",
        "manager.cancel_queue_job(manager.list_queue_jobs()[0].queue_id)\n"
        "%clouditia stop --all --yes",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120).execute()
    for number in (2, 3, 4, 5):
        (output,) = notebook.cells[number].outputs
        assert 'class="clouditia-card' in output.data["text/html"]
        assert "<b>bold" not in output.data["text/html"]
        assert output.data["text/plain"].strip()
    assert "&lt;b&gt;bold&lt;/b&gt;" in notebook.cells[2].outputs[0].data["text/html"]
