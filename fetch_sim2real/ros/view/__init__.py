"""The live view of a running graph: a page in a browser, served by a process that only listens."""
