"""Who is measured, and what each of them needs."""
from dataclasses import dataclass

BOTH = ("allowed", "refused")


@dataclass(frozen=True)
class Contender:
    """A proxy as a command of the shell. In it {peers} is this repository's
    bench/peers, {bin} where the run's own programs were built and {workers} the
    number of worker processes. The command stays in the foreground, ends on
    SIGTERM, and finds in its environment what bench/README.md lists."""

    name: str
    title: str
    command: str
    programs: tuple[str, ...] = ()
    built: tuple[str, ...] = ()  # programs of this repository
    form: str = "text"           # the file of numbers it reads
    transports: tuple[str, ...] = ("udp", "tcp")
    kinds: tuple[str, ...] = BOTH
    redis: bool = False          # it asks a Redis server, whose CPU counts as its own
    modules: tuple[str, ...] = ()  # of Kamailio


KAMAILIO = "exec '{peers}/kamailio/run.sh' --children {workers} --gate "
DIALGATE = "exec '{peers}/dialgate.sh' --binary '{bin}/dialgate' --ledger "

CONTENDERS = (
    Contender("dialgate-memory", "dialgate, ledger in memory mode", DIALGATE + "memory", built=("dialgate",), form="facts"),
    Contender("dialgate-durable", "dialgate, durable ledger", DIALGATE + "durable", built=("dialgate",), form="facts"),
    Contender("kamailio", "Kamailio, table in memory", KAMAILIO + "htable", ("kamailio",), form="sqlite", modules=("htable", "db_sqlite")),
    Contender("kamailio-tx", "the same, refusing through a transaction", KAMAILIO + "htable --stateful-reject", ("kamailio",), form="sqlite",
              kinds=("refused",), modules=("htable", "db_sqlite")),
    Contender("kamailio-redis", "Kamailio, Redis", KAMAILIO + "redis", ("kamailio", "redis-server", "redis-cli"), form="redis", redis=True,
              modules=("ndb_redis",)),
    Contender("kamailio-sqlite", "Kamailio, SQLite", KAMAILIO + "sqlite", ("kamailio",), form="sqlite", modules=("db_sqlite",)),
    Contender("sipgo", "plain sipgo proxy, Go map", "exec '{bin}/sipgo'", built=("sipgo",)),
    Contender("relay-go", "bare relay in Go", "exec '{bin}/relay-go'", built=("relay-go",), transports=("udp",)),
    Contender("relay-c", "bare relay in C", "exec '{bin}/relay-c'", ("cc",), built=("relay-c",), transports=("udp",)),
)

# Debian's package of each program and of each module of Kamailio.
PACKAGES = {"sipp": "sip-tester", "kamailio": "kamailio", "redis-server": "redis-server", "redis-cli": "redis-tools", "cc": "gcc libc6-dev",
            "taskset": "util-linux", "go": "Go 1.26 or later (go.dev/dl)", "htable": "kamailio", "db_sqlite": "kamailio-sqlite-modules",
            "ndb_redis": "kamailio-redis-modules"}
