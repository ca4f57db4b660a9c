"""Access tokens: fetched, kept, renewed, handed to the submission helper."""
