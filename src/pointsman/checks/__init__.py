"""What would otherwise do nothing in silence: facts, gathered once and judged by pure functions."""
