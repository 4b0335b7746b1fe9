"""The command line around the library."""
