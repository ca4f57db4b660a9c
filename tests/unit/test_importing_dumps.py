"""Rows out of dumps, as three programs write them."""

import pytest

from pointsman.errors import UsageError
from pointsman.importing.dumps import Layout, read_dump, rows_of

MARIADB = r"""/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `relayhosts`;
CREATE TABLE `relayhosts` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `hostname` varchar(255) NOT NULL,
  `key` enum('a','b;') NOT NULL DEFAULT 'a',
  `password` varchar(255) DEFAULT NULL COMMENT 'it''s, (secret)',
  PRIMARY KEY (`id`),
  KEY `hostname` (`hostname`),
  CONSTRAINT `c` CHECK (json_valid(`password`))
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=utf8mb4;
LOCK TABLES `relayhosts` WRITE;
/*!40000 ALTER TABLE `relayhosts` DISABLE KEYS */;
INSERT INTO `relayhosts` VALUES
(1,'[a.test]:587','a','it\'s; \"so\" \\ (x,y) -- no /* comment */ \n\t%\%'),
(-2,'b''c','b;',NULL);
INSERT INTO `relayhosts` VALUES (3,_binary 'd','a','');
/*!40000 ALTER TABLE `relayhosts` ENABLE KEYS */;
UNLOCK TABLES;
DELIMITER ;;
CREATE TRIGGER `t` BEFORE INSERT ON `other` FOR EACH ROW BEGIN SET NEW.a = 'x;'; END ;;
DELIMITER ;
CREATE TABLE `other` (
  `relayhosts` int(11)
);
INSERT INTO `other` VALUES (7);
"""
POSTGRESQL = r"""--
-- PostgreSQL database dump
--
CREATE TABLE public.sender_relayhost (
    id bigint NOT NULL,
    account character varying(255) DEFAULT ''::character varying NOT NULL,
    relayhost character varying(255) DEFAULT ''::character varying NOT NULL
);
ALTER TABLE public.sender_relayhost OWNER TO vmailadmin;
COPY public.sender_relayhost (id, account, relayhost) FROM stdin;
1	@a.test	[r.test]:587
2	o'hara@b.test	\N
3	tab\there\\	x
\.
SELECT pg_catalog.setval('public.sender_relayhost_id_seq', 3, true);
"""
INSERTS = r"""-- PostgreSQL database dump
CREATE TABLE public.domain (
    domain character varying(255) NOT NULL,
    "key" text,
    CONSTRAINT d CHECK ((domain <> ''::text))
);
INSERT INTO public.domain VALUES ('a.test', 'it''s');
INSERT INTO public.domain ("key", domain) VALUES (NULL, 'b.test');
"""


def test_what_mariadb_writes():
    """Strings are read to the letter, whatever they hold; NULL is empty."""
    rows = rows_of(MARIADB, Layout({"relayhosts": "id hostname"}, {}))["relayhosts"]
    assert rows == [
        {
            "id": "1",
            "hostname": "[a.test]:587",
            "key": "a",
            "password": 'it\'s; "so" \\ (x,y) -- no /* comment */ \n\t%\\%',
        },
        {"id": "-2", "hostname": "b'c", "key": "b;", "password": ""},
        {"id": "3", "hostname": "d", "key": "a", "password": ""},
    ]


def test_what_postgresql_writes():
    """COPY, as pg_dump does if not told otherwise."""
    rows = rows_of(POSTGRESQL, Layout({"sender_relayhost": "account"}, {"domain": "domain"}))
    assert [(r["account"], r["relayhost"]) for r in rows["sender_relayhost"]] == [
        ("@a.test", "[r.test]:587"),
        ("o'hara@b.test", ""),
        ("tab\there\\", "x"),
    ]
    assert rows["domain"] == []


def test_what_postgresql_writes_with_inserts():
    """With and without columns' names."""
    assert rows_of(INSERTS, Layout({"domain": "domain"}, {}))["domain"] == [
        {"domain": "a.test", "key": "it's"},
        {"domain": "b.test", "key": ""},
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no table relayhosts"),
        ("CREATE TABLE `other` (`a` int);", "has no table relayhosts"),
        ("CREATE TABLE `relayhosts` (`id` int); INSERT INTO `relayhosts` VALUES (1);", "no column"),
        ("INSERT INTO `relayhosts` VALUES (1);", "structure"),
        ("INSERT INTO `relayhosts` VALUES ('never ends", "no dump"),
    ],
)
def test_what_is_no_such_dump(text, why):
    """It is said, and not taken for an empty one."""
    with pytest.raises(UsageError, match=why):
        rows_of(text, Layout({"relayhosts": "hostname"}, {}))


def test_files_that_are_not_taken(tmp_path):
    """One that is not there, one that is far too large."""
    layout = Layout({"relayhosts": "hostname"}, {})
    with pytest.raises(UsageError, match="No such file"):
        read_dump(str(tmp_path / "gone.sql"), layout)
    with (tmp_path / "large.sql").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match="more than 32 MiB"):
        read_dump(str(tmp_path / "large.sql"), layout)
