"""The doors that people come in by, their sessions, and the fan-out.

Reading order: native.py with scan.py (bytes and frames), session.py, asks.py and stream.py with
repeats.py and sync.py (the exact exchange with the owner), replica.py and rooms.py (who follows
which room), outbox.py (what waits for one connection), typing.py: all pure. Then connection.py,
desk.py (from request to answer), entrance.py (into sessions and rooms), people.py (what concerns
one person), keeper.py (deadlines), hub.py (a turn of the loop), and doors.py, claim.py, listener.py
(how people get in).
"""
