"""How a connector may encrypt and log in: the words, and what each asks for."""

TLS_MODES = ("none", "may", "starttls", "tls")
DEFAULT_PORTS = {"none": 25, "may": 25, "starttls": 587, "tls": 465}
# Each way to log in, and the fields that it can't do without.
LOGINS = {
    "none": (),
    "password": ("username", "password"),
    "certificate": ("certificate", "private_key"),
    "oauth2": ("username",),
}
