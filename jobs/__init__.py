"""One thin script a job: read the settings, call the library, print a table, set the exit status."""
