"""fastrnn against other libraries: the cases, the rivals, and the suite that compares them.

    fastrnn bench [--quick]

cases.py      what is computed: named workloads, in groups
data.py       the numbers that a case computes with, the same for every library
oracle.py     what must come out, from fastrnn's float64 reference
ours.py       fastrnn
rivals/       the others; `rivals.RIVALS` lists them
candidate.py  what ours and the rivals hand over: something to call, and its outputs
worker.py     a process for each library
timing.py     turns, rounds, medians
meters.py     memory, energy, bandwidth, threads
suite.py      the runner: compare each case, then time it
record.py     the JSON file
table.py      what is shown
scaling.py    ours with 1, 2, ... threads beside the plan's cost model

The other files are programs of their own: `python -m bench.startup`, run where this folder is.
"""
