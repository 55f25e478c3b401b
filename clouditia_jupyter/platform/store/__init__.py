"""What the platform remembers: tables, the one thread that writes them, migrations."""

from clouditia_jupyter.platform.store.database import Store

__all__ = ["Store"]
