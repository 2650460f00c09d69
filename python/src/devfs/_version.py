# The version of the program: Tests/packaging compares them.
__version__ = "0.2.0"
