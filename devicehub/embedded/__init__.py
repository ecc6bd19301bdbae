"""MongoDB and Redis of our own, for a first run and for the tests; production brings its own."""
