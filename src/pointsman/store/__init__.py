"""The database: what the admin wants, with its history."""
