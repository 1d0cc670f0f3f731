"""A program and its tests in, whether it passes them out.

Open code.py first: it grades a completion; cases.py reads pairs of inputs and outputs, program.py makes the job.
"""
