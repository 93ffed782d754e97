"""Hubbub: a self-hosted chat cluster. `hubbub.connect` is the client library."""

__version__ = "0.1.0"
