"""What a store says when it can't be used."""

import pytest
from sqlalchemy import select

from pointsman.store import tables
from pointsman.store.database import StoreError


def why(store):
    """The sentence of a StoreError, the same for readers and writers."""
    sentences = []
    for opened in (store.reading, store.writing):
        with pytest.raises(StoreError) as caught, opened() as connection:
            connection.execute(select(tables.sender)).all()
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].isprintable()
    return sentences[0]
