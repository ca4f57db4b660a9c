"""Any history, undone step by step, gives the exact book back."""

import shutil
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.config import Config
from pointsman.store.book import Edit, editing, read
from pointsman.store.database import Store
from pointsman.store.records import Agency, Connector, Pause, Sender
from pointsman.store.secrets import create_key_file
from tests.unit.undoing import content, undo

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=4)
NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def works(draw):
    """One edit of one or several records, as a function of the edit."""
    parts = draw(st.lists(st.tuples(st.integers(0, 6), NAMES, NAMES, TEXT), min_size=1, max_size=4))

    def work(edit: Edit, seal):
        done = set()
        for kind, name, other, text in parts[:1] if parts[0][0] == DROP else parts:
            if kind != DROP and (kind == 0, name) not in done:  # a revision has each record once
                done.add((kind == 0, name))
                STEPS[kind](edit, name, other, text, seal)
            elif kind == DROP and not done:  # which must not pull the rug from under the others
                drop_agency(edit, name)

    return work


def put_agency(edit, name, other, text, _seal):
    old = edit.book.agencies.get(name)
    new = Agency(name, (f"app-{other}", text), any_client=True, description=text)
    if old is None:
        edit.add(new)
    elif old != new:
        edit.change(old, new)


def drop_agency(edit, name):
    if name in edit.book.agencies and all(s.agency != name for s in edit.book.senders.values()):
        pause = edit.book.pauses.get(f"agency {name}")
        edit.remove(edit.book.agencies[name], *filter(None, [pause]))


def put_connector(edit, name, _other, text, seal):
    old = edit.book.connectors.get(f"x{name}")
    new = Connector(
        f"x{name}", hosts=("h.test",), auth="password", username="u", password=seal(f"p{text}")
    )
    edit.add(new) if old is None else edit.change(old, replace(new, state="live"))


def put_sender(edit, name, other, text, _seal):
    if other in edit.book.agencies and "xa" in edit.book.connectors:
        old = edit.book.senders.get(f"@{name}.test")
        new = Sender(f"@{name}.test", other, "xa", description=text)
        if old is None:
            edit.add(new)
        elif old != new:
            edit.change(old, new, "link")


def drop_sender(edit, name, *_):
    if f"@{name}.test" in edit.book.senders:
        edit.remove(edit.book.senders[f"@{name}.test"])


def put_pause(edit, name, _other, text, _seal):
    if name in edit.book.agencies and f"agency {name}" not in edit.book.pauses:
        edit.add(Pause(f"agency {name}", "anna", "2026-11-21T10:00:00+00:00", "", text))


def put_default(edit, name, *_):
    value = "none" if name == "a" else "postfix"
    if edit.book.default != value:
        edit.put_setting("default", value)


STEPS = [
    put_agency,
    put_connector,
    put_sender,
    drop_sender,
    put_pause,
    put_default,
    drop_agency,
]
DROP = len(STEPS) - 1


def opened(store, book):
    """The book with its secrets open, without what only grows."""
    unseal = store.secrets.unseal
    connectors = {
        name: replace(c, password=unseal(c.password)) for name, c in book.connectors.items()
    }
    return replace(content(book), connectors=connectors)


def fresh(empty_database, folder):
    """A store with a database and a key of its own."""
    shutil.copy(empty_database, folder / "pm.db")
    create_key_file(folder / "key")
    return Store(
        Config(database=f"sqlite:///{folder}/pm.db", secret_key_file=folder / "key", user="nobody")
    )


@settings(max_examples=40)
@given(edits=st.lists(works(), min_size=1, max_size=6))
def test_any_edits_undone_in_reverse_give_the_exact_book_back(
    empty_database, tmp_path_factory, edits
):
    """Step by step, secrets decrypted equal; and undone once more, all is there again."""
    store = fresh(empty_database, tmp_path_factory.mktemp("undo"))
    books = [read(store)]
    for work in edits:
        with editing(store) as edit:
            work(edit, store.secrets.seal)
        if edit.revision > books[-1].revision:
            books.append(read(store))
    last = store.revision()
    for revision in range(last, 0, -1):
        undo(store, revision)
        assert opened(store, read(store)) == opened(store, books[revision - 1])
    for revision in range(2 * last, last, -1):
        undo(store, revision)
    assert opened(store, read(store)) == opened(store, books[-1])
