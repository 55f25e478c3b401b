"""The embedded platform: one process that rents out this machine's GPUs over Clouditia's API.

Started by ``python -m clouditia_jupyter.platform``; never imported by the client or the notebook.
"""
