"""How much may leave and when: pure, with time as an argument; and the counters' memory."""
