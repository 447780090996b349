"""Whatever an astronomer has, as a stream of pictures; nothing bad stops it."""
