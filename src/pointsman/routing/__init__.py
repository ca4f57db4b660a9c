"""Which lane a message takes: pure functions that know no Postfix, store or net."""
