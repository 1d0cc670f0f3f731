"""An answer in mathematics and a gold in, whether they are equal out.

Open math.py first: it grades a completion; equal.py compares two expressions, the others read what is written.
"""
