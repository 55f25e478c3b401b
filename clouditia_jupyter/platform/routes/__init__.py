"""The two APIs, route by route."""
