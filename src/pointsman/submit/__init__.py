"""The submission helper: LMTP from Postfix, SMTP with XOAUTH2 to the provider; keeps nothing."""
