"""The schema's history: forward only, one file a step, numbered."""
