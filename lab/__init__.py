"""A private Postfix, real next hops and real clients: for demo, tests and benchmarks."""
