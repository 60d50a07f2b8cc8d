#!/usr/bin/env python3
"""Made-up consent set and injection files, the same on every run.

Numbers look like Dutch mobile numbers, since dialgate judges by the numbering
plan; they are used on loopback only.  i < COUNT is on file, COUNT <= i is not.

  gen_consent.py --dir DIR [--count 1000000] [--lines 200000] [--share 0.8]

writes  DIR/consent.txt      one number a line (for whatever store is measured)
        DIR/facts.csv        the same as consents for dialgate facts import
        DIR/consent.sqlite   table consent(key_name, key_type, value_type, key_value, expires)
        DIR/consent.resp     the same as Redis protocol: redis-cli --pipe < consent.resp
        DIR/allowed.csv, blocked.csv, mix.csv   sipp injection files
"""
import argparse, os, random, sqlite3


def number(i):
    """06 followed by 1-5 or 8 and seven digits: 60 million numbers, each once."""
    n = i * 7919 % 60_000_000
    return "+316%s%07d" % ("123458"[n // 10_000_000], n % 10_000_000)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dir", required=True)
    ap.add_argument("--count", type=int, default=1_000_000)
    ap.add_argument("--lines", type=int, default=200_000, help="lines in each injection file")
    ap.add_argument("--share", type=float, default=0.8, help="allowed share in mix.csv")
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    at = lambda n: os.path.join(a.dir, n)

    with open(at("consent.txt"), "w") as f:
        for i in range(a.count):
            f.write(number(i) + "\n")

    with open(at("facts.csv"), "w") as f:
        f.write("id,number,evidence.person,evidence.sha256\n")
        for i in range(a.count):
            f.write("c%d,%s,p%d,%064x\n" % (i, number(i), i, i))

    with open(at("consent.resp"), "w", newline="") as f:
        for i in range(a.count):
            n = number(i)
            f.write("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (len(n), n))

    for s in ("", "-journal", "-wal", "-shm"):
        if os.path.exists(at("consent.sqlite" + s)):
            os.unlink(at("consent.sqlite" + s))
    db = sqlite3.connect(at("consent.sqlite"))
    db.execute("create table consent(key_name text primary key, key_type integer not null default 0,"
               " value_type integer not null default 0, key_value text not null default '1',"
               " expires integer not null default 0) without rowid")
    db.executemany("insert into consent(key_name) values (?)", ((n,) for n in sorted(number(i) for i in range(a.count))))
    db.commit()
    db.execute("analyze")
    db.commit()
    db.close()

    rnd = random.Random(20)
    yes = [number(i) for i in rnd.sample(range(a.count), min(a.lines, a.count))]
    no = [number(i) for i in range(a.count, a.count + a.lines)]
    rnd.shuffle(no)
    for name, rows in (("allowed.csv", [(n, "A") for n in yes]), ("blocked.csv", [(n, "B") for n in no])):
        with open(at(name), "w") as f:
            f.write("SEQUENTIAL\n" + "".join("%s;%s\n" % r for r in rows))
    with open(at("mix.csv"), "w") as f:
        f.write("SEQUENTIAL\n")
        for k in range(min(len(yes), len(no))):
            f.write("%s;A\n" % yes[k] if rnd.random() < a.share else "%s;B\n" % no[k])


if __name__ == "__main__":
    main()
