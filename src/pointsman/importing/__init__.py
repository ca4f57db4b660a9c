"""What other programs know of senders and their ways out, turned into records of ours."""
