"""PostgreSQL's log of statements, switched on for a while. For a graded run it is on from its beginning."""

from collections.abc import Iterator
from contextlib import contextmanager

from underload.errors import UnderloadError
from underload.judge.connection import Connection
from underload.services import LOG_LINE_PREFIX
from underload.waiting import until

EVERY_STATEMENT = {
    "log_statement": "all",
    "log_min_duration_statement": "0",  # and what is bound
    "log_parameter_max_length": "0",
    "log_min_error_statement": "error",
}
# In force for sessions that are already open too, which a setting of their database would not reach.
SETTINGS = {**EVERY_STATEMENT, "log_line_prefix": LOG_LINE_PREFIX}
RELOAD_SECONDS = 5
LOCK = 20130102  # in the maintenance database: the settings are one for all


@contextmanager
def logging_all(admin: Connection) -> Iterator[None]:
    """Have our server log every statement meanwhile. Raises UnderloadError."""
    try:
        admin.rows("SELECT pg_advisory_lock($1)", LOCK)
    except TimeoutError:
        raise UnderloadError(
            "Another judge is counting statements on this server: wait until its check is done, "
            "or stop that notebook's kernel, and check again."
        ) from None
    try:
        for name, value in SETTINGS.items():
            admin.rows(f"ALTER SYSTEM SET {name} = '{value}'")
        _reload(admin)
        yield
    finally:
        try:
            _reset(admin)
        finally:
            admin.value("SELECT pg_advisory_unlock($1)", LOCK)


def heal(admin: Connection) -> None:
    """End the logging that a judge began which was killed."""
    if not admin.value("SELECT count(*) FROM pg_file_settings WHERE name = 'log_statement'"):
        return
    if admin.value("SELECT pg_try_advisory_lock($1)", LOCK):
        _reset(admin)
        admin.value("SELECT pg_advisory_unlock($1)", LOCK)


def _reload(admin: Connection) -> None:
    admin.rows("SELECT pg_reload_conf()")
    # The postmaster tells all sessions of the new settings before it accepts the next connection.
    if not until(lambda: _reached_newcomers(admin), RELOAD_SECONDS):
        raise UnderloadError(
            "PostgreSQL does not take new settings: run `underload services stop`, try again."
        )


def _reached_newcomers(admin: Connection) -> bool:
    newcomer = Connection(admin.dsn)
    try:
        return newcomer.value("SHOW log_statement") == SETTINGS["log_statement"]
    finally:
        newcomer.close()


def _reset(admin: Connection) -> None:
    for name in SETTINGS:
        admin.rows(f"ALTER SYSTEM RESET {name}")
    admin.rows("SELECT pg_reload_conf()")
