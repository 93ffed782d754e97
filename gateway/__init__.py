"""The doors that people come in by, their sessions, and the fan-out."""
