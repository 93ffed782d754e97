"""The single writer: people, rooms, the log, presence. One is active, others stand by.

Reading order. What is remembered, and a change to it: access.py (who may do what), records.py,
state.py, draft.py, plan.py. What each request does: case.py, rules.py, log.py, rooms.py, direct.py,
messages.py, moderation.py, accounts.py, operators.py, presence.py, reads.py, show.py, welcome.py.
The exact exchange with gateways: inbox.py, gateways.py, stream.py. All of these are pure.
Passwords: throttle.py, passwords.py, doorkeeper.py. Search: query.py, index.py, ranking.py,
searching.py. The database and the lock: lookups.py, store.py, writing.py, loading.py, lease.py. The
loop that carries it all out: tenure.py, shard.py, active.py.
"""
