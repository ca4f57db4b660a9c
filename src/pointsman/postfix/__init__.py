"""Everything that touches Postfix: reading it, rendering for it, changing it."""
