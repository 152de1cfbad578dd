"""The mathematics of one triple as plain Python functions; every target compiles these same bodies."""
