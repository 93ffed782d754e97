"""The set-up commands behind `deploy/up` and `deploy/down`.

`down` must work with nothing but a Python, so everything from outside the standard library is
imported where it is used.
"""
