"""The control panel in a browser, driven by what a person sees of it."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect


class PanelPage:
    """A panel that a page shows.

    Attributes
    ----------
    root
        All of it.
    form
        The form for a new session, and what comes of it.
    """

    def __init__(self, shown: Locator) -> None:
        self.root = shown.get_by_role("region", name="Clouditia control panel")
        self.form = self.root.locator("details", has_text="New session")

    def fill(self, **fields: str) -> None:
        """Fill in fields of the form by the beginnings of their labels: ``cost_limit="5"``."""
        for name, value in fields.items():
            label = re.compile(f"^{name.replace('_', ' ')}", re.IGNORECASE)
            field = self.form.get_by_label(label)
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)

    def session(self, name: str) -> Locator:
        """Return the row of a session."""
        return self.root.get_by_role("region", name=f"Session {name}", exact=True)

    def cost(self, name: str) -> float:
        """Return the EUR that a session's row says it has cost."""
        text = self.session(name).locator(".cp-cost").inner_text()
        return float(text.removesuffix(" EUR"))

    def wait_until_cost_moves(self, name: str) -> None:
        """Return once a session's cost is another number, and a greater one."""
        before = self.cost(name)
        expect(self.session(name).locator(".cp-cost")).not_to_have_text(
            re.compile(rf"^{before:.2f} EUR|{before:.4f} EUR$")
        )
        assert self.cost(name) > before

    def table(self, name: str) -> Locator:
        """Open a tab, and return its table."""
        self.root.get_by_role("tab", name=re.compile(f"^{name}")).click()
        return self.root.get_by_role("tabpanel", name=re.compile(f"^{name}"))

    def stop(self, name: str) -> None:
        """Stop a session by its button, and say yes."""
        self.session(name).get_by_role("button", name="Stop").click()
        self.root.get_by_role("dialog").get_by_role("button", name="Stop it").click()
        # a row stays under the pointer as long as it is there
        self.root.get_by_role("tab", name="Inventory").hover()
        expect(self.session(name)).to_have_count(0)
