"""The single writer: rooms, sessions, presence, the log. One is active, others stand by.

Reading order: records.py, state.py, plan.py (what is remembered, and a change to it), rules.py,
rooms.py, presence.py, reads.py (what an ask does: pure), inbox.py, gateways.py, stream.py (exact
exchange with gateways: pure), store.py, lease.py (the database, the lock), shard.py, active.py
(the loop that carries it out).
"""
