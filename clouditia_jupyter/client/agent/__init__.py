"""Runs, interrupts and variables on a service that has none of them: the agent."""
