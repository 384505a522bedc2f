"""Fuzzing of every decoder that we wrote: bytes mutated from captures, and bytes from nowhere.

    targets.py    what a target is, and the list of all
    mutate.py     how captures are damaged
    modbus.py     frames, answers, registers, the ranking
    opcua.py      the body of a data-change notification
    run.py        feeds one target, and says what broke it
    __main__.py   `make fuzz`

A target fails where it raises what it does not promise to, does not come back, or makes a value of nothing.
"""
