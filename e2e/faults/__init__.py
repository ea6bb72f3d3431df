"""Faults between the operator and a real API server, one by one: what happens, and that it ends well.

`proxy.py` stands in between, `rules.py` says what it does to which request, `world.py` has the operator and the
checks that hold after every fault, `catalogue*.py` the faults, `__main__.py` the table.
"""
