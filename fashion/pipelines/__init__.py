"""What the jobs do, each callable from a notebook in a line: settings in, a value out; Ray is joined or started.

What is said on the way goes to the loggers below `fashion` (`log.show()` prints it as the jobs do).
"""
