"""How fast it is, against Postfix alone and against the least that a milter can do."""
