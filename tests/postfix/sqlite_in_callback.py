"""A milter that does what ours must not: it uses a C extension within its callbacks."""

import os
import sqlite3
import sys

import Milter


def twice(number):
    return number * 2


def ask_sqlite():
    """Register a Python function with SQLite, call it, and close again."""
    connection = sqlite3.connect(":memory:")
    connection.create_function("twice", 1, twice)
    connection.execute("SELECT twice(21)").fetchone()
    connection.close()
    return Milter.CONTINUE


class Crasher(Milter.Base):
    """Each callback asks SQLite; libmilter runs them on whichever thread is free."""

    def connect(self, *_arguments):
        return ask_sqlite()

    def hello(self, *_arguments):
        return ask_sqlite()

    def envfrom(self, *_arguments):
        return ask_sqlite()

    def envrcpt(self, *_arguments):
        return ask_sqlite()

    def header(self, *_arguments):
        return ask_sqlite()

    def eoh(self):
        return ask_sqlite()

    def eom(self):
        return ask_sqlite()


if __name__ == "__main__":
    os.umask(0)
    Milter.factory = Crasher
    Milter.runmilter("crasher", sys.argv[1], 300)
