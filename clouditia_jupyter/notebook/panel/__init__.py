"""The control panel: a worker that looks and acts, a widget that shows, and what lies between."""
