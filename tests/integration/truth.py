#!/usr/bin/env python3
"""The truth about a database, kept outside of the server.

truth_lib.sh calls this. In the folder TRUTH there is for each timeline N

    N.log       a line of JSON for each transaction that a workload ended, and for each restore point:
                transaction id, time as pg_xact_commit_timestamp() has it, WAL position before and
                after, and what became of which row
    N.records   the records of the timeline's WAL with their positions, as pg_waldump reads them in
                the server's own pg_wal, up to what is archived
    N.archived  numbers of the first and the last segment of them
    N.fork      parent and position, where the timeline has a parent
    ID.backup   what PostgreSQL wrote of a backup, for "plans"

and from these alone follows which rows a recovery to any target must bring back. Rows live in the
table truth (id, version, payload).
"""
import argparse
import bisect
import json
import os
import random
import re
import subprocess
import sys

TRUTH = os.environ["TRUTH"]
PG_BIN = os.environ["PG_BIN"]


def to_lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn):
    return "%X/%X" % (lsn >> 32, lsn & 0xFFFFFFFF)


def to_us(text):
    """Microseconds since 1970 of 2026-11-22T10:00:00.123456Z or 2026-11-22 10:00:00.123456 UTC or …+00."""
    import datetime
    match = re.match(r"(\d+-\d+-\d+)[T ](\d+:\d+:\d+)(?:\.(\d{1,6}))?(?:Z| UTC|\+00)$", text)
    if not match:
        raise SystemExit("not a time in UTC: %r" % text)
    moment = datetime.datetime.fromisoformat("%sT%s+00:00" % match.group(1, 2))
    return int(moment.timestamp()) * 1000000 + int((match.group(3) or "0").ljust(6, "0"))


def us_text(us):
    import time
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(us // 1000000)) + ".%06d" % (us % 1000000)


def payload(row, version):
    return "row %d version %d %s" % (row, version, "x" * (row % 97))


# --- the log -------------------------------------------------------------------------------------

def path_of(kind, timeline):
    return os.path.join(TRUTH, "%d.%s" % (timeline, kind))


def read_log(timeline):
    try:
        with open(path_of("log", timeline)) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def timelines():
    return sorted(int(n[:-8]) for n in os.listdir(TRUTH) if n.endswith(".records"))


def fork(timeline):
    try:
        with open(path_of("fork", timeline)) as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def ancestry(timeline):
    """[(timeline, begin, end)…], oldest first."""
    result, end = [], 1 << 63
    while True:
        parent = fork(timeline)
        result.insert(0, (timeline, parent["lsn"] if parent else 0, end))
        if not parent:
            return result
        timeline, end = parent["parent"], parent["lsn"]


class Record:
    """tl, lsn, end (exclusive, without padding), what, xid, time, text"""

    def __init__(self, tl, lsn, end, what, xid, time, text):
        self.tl, self.lsn, self.end = tl, lsn, end
        self.what, self.xid, self.time, self.text = what, xid, time, text


def records_of(timeline, begin, end):
    with open(path_of("records", timeline)) as file:
        return [r for r in (Record(timeline, *v) for v in json.load(file)) if begin <= r.lsn < end]


def records_on(timeline):
    """All records on the way to a timeline's end, in order."""
    result = []
    for tl, begin, end in ancestry(timeline):
        result += records_of(tl, begin, end)
    return result


# --- workload ------------------------------------------------------------------------------------

class Session:
    """One psql, that is one backend."""

    def __init__(self, socket):
        self.psql = subprocess.Popen(
            [os.path.join(PG_BIN, "psql"), "-X", "-q", "-A", "-t", "-h", socket, "-p", "5432",
             "-U", "postgres", "-d", "postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            bufsize=1)
        self.transaction = None

    def send(self, sql):
        self.psql.stdin.write(sql + ";\n\\echo =end=\n")
        self.psql.stdin.flush()

    def receive(self):
        lines = []
        for line in self.psql.stdout:
            if line == "=end=\n":
                break
            lines.append(line.rstrip("\n"))
        else:
            raise SystemExit("the server has gone: %s" % lines)
        if any(re.match(r"(ERROR|FATAL|PANIC):", line) for line in lines):
            raise SystemExit("workload: %s" % "\n".join(lines))
        return lines

    def run(self, sql):
        self.send(sql)
        return self.receive()

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


class Transaction:
    def __init__(self, xid):
        self.xid = xid
        self.rows = {}     # id: its version after the transaction, None: gone
        self.subs = []     # ids of subtransactions
        self.gid = None
        self.touched = set()  # rows of others that it locks


class Workload:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.log = open(path_of("log", args.timeline), "a")
        self.sessions = [Session(args.socket) for _ in range(args.sessions)]
        self.watcher = Session(args.socket)
        self.rows = {}     # committed
        for line in self.watcher.run("SELECT id, version FROM truth"):
            row, version = line.split("|")
            self.rows[int(row)] = int(version)
        self.next_row = args.timeline * 1000000 + 1
        self.locked = set()
        self.prepared = []
        self.resume()
        self.ended = []
        self.points = 0

    def resume(self):
        """Prepared transactions stay open from one workload to the next."""
        try:
            with open(path_of("state", self.args.timeline)) as file:
                state = json.load(file)
        except FileNotFoundError:
            return
        self.next_row = state["next_row"]
        for entry in state["prepared"]:
            transaction = Transaction(entry["xid"])
            transaction.gid, transaction.subs = entry["gid"], entry["subs"]
            transaction.rows = {int(row): version for row, version in entry["rows"].items()}
            transaction.touched = set(entry["touched"])
            self.prepared.append(transaction)
            self.locked |= transaction.touched | set(transaction.rows)

    def suspend(self):
        with open(path_of("state", self.args.timeline), "w") as file:
            json.dump({"next_row": self.next_row, "prepared": [
                {"xid": t.xid, "gid": t.gid, "subs": t.subs, "rows": t.rows, "touched": list(t.touched)}
                for t in self.prepared]}, file)

    # What a transaction can do. Each returns SQL.
    def insert(self, rows):
        ids = list(range(self.next_row, self.next_row + self.random.randint(1, 4)))
        self.next_row = ids[-1] + 1
        for row in ids:
            rows[row] = 1
        return "INSERT INTO truth VALUES " + ", ".join(
            "(%d, 1, '%s')" % (row, payload(row, 1)) for row in ids)

    def change(self, transaction, rows):
        free = [r for r in self.rows if r not in self.locked]
        own = [r for r, v in {**transaction.rows, **rows}.items() if v is not None]
        candidates = self.random.sample(free, min(2, len(free))) + self.random.sample(own, min(1, len(own)))
        if not candidates:
            return self.insert(rows)
        row = self.random.choice(candidates)
        version = rows.get(row, transaction.rows.get(row, self.rows.get(row)))
        self.locked.add(row)
        transaction.touched.add(row)
        if version is None:
            return self.insert(rows)
        if self.random.random() < 0.35:
            rows[row] = None
            return "DELETE FROM truth WHERE id = %d" % row
        rows[row] = version + 1
        return "UPDATE truth SET version = %d, payload = '%s' WHERE id = %d" % (
            version + 1, payload(row, version + 1), row)

    def begin(self, session):
        xid = int(session.run("BEGIN; SELECT pg_current_xact_id()")[-1])
        session.transaction = Transaction(xid)

    def work(self, session):
        transaction = session.transaction
        chance = self.random.random()
        if chance < 0.45:
            session.run(self.insert(transaction.rows))
        elif chance < 0.75:
            rows = {}
            sql = self.change(transaction, rows)
            session.run(sql)
            transaction.rows.update(rows)
        else:
            self.savepoint(session)

    def savepoint(self, session):
        """A subtransaction, that stays or goes, perhaps with one in it."""
        transaction, depth = session.transaction, self.random.randint(1, 2)
        outer = {}
        session.run("SAVEPOINT s1; " + self.insert(outer))
        sub = session.run("SELECT xmin FROM truth WHERE id = %d" % min(outer))[-1]
        if depth == 2:
            inner = dict(outer)
            sql = self.change(transaction, inner)
            session.run("SAVEPOINT s2; " + sql)
            if self.random.random() < 0.5:
                session.run("ROLLBACK TO s2")
            else:
                session.run("RELEASE s2")
                outer = inner
        if self.random.random() < 0.4:
            session.run("ROLLBACK TO s1")
        else:
            session.run("RELEASE s1")
            transaction.rows.update(outer)
            transaction.subs.append(int(sub))

    BEFORE = "SELECT pg_current_wal_insert_lsn()"

    def send_end(self, session, command):
        session.send("%s; %s; %s" % (self.BEFORE, command, self.BEFORE))

    def receive_end(self, session, transaction, what):
        lines = [line for line in session.receive() if re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", line)]
        self.ended.append({
            "what": what, "xid": transaction.xid, "before": lines[0], "after": lines[-1],
            "subs": transaction.subs, "gid": transaction.gid, "rows": transaction.rows})
        self.forget_locks(transaction)
        if what == "commit":
            for row, version in transaction.rows.items():
                if version is None:
                    self.rows.pop(row, None)
                else:
                    self.rows[row] = version

    def forget_locks(self, transaction):
        self.locked -= transaction.touched | set(transaction.rows)

    def end(self, session):
        chance = self.random.random()
        transaction = session.transaction
        if self.args.prepared and chance < 0.5 and len(self.prepared) < 6:
            transaction.gid = "g%d" % transaction.xid
            session.run("PREPARE TRANSACTION '%s'" % transaction.gid)
            self.prepared.append(transaction)
        elif chance < 0.8:
            self.send_end(session, "COMMIT")
            self.receive_end(session, transaction, "commit")
        else:
            self.send_end(session, "ROLLBACK")
            self.receive_end(session, transaction, "abort")
        session.transaction = None

    def end_prepared(self, session):
        transaction = self.prepared.pop(self.random.randrange(len(self.prepared)))
        commit = self.random.random() < 0.7
        self.send_end(session, ("COMMIT" if commit else "ROLLBACK") + " PREPARED '%s'" % transaction.gid)
        self.receive_end(session, transaction, "commit" if commit else "abort")

    def end_together(self):
        """Several commits at the same time: which comes first is PostgreSQL's affair."""
        busy = [s for s in self.sessions if s.transaction]
        for session in busy:
            self.send_end(session, "COMMIT")
        for session in busy:
            self.receive_end(session, session.transaction, "commit")
            session.transaction = None

    def point(self):
        self.points += 1
        name = "%s%d" % (self.args.points, self.points)
        lsn = self.watcher.run("SELECT pg_create_restore_point('%s')" % name)[-1]
        self.ended.append({"what": "point", "name": name, "after": lsn})

    def run(self):
        for step in range(self.args.steps):
            session = self.random.choice(self.sessions)
            chance = self.random.random()
            if not session.transaction:
                if self.prepared and chance < 0.4:
                    self.end_prepared(session)
                else:
                    self.begin(session)
                    self.work(session)
            elif chance < 0.55:
                self.work(session)
            elif chance < 0.92:
                self.end(session)
            else:
                self.end_together()
            if self.args.points and step % 25 == 24:
                self.point()
        self.end_together()
        while self.prepared and not self.args.leave_prepared:
            self.end_prepared(self.sessions[0])
        self.finish()

    def one(self):
        """One transaction that does something else, too."""
        session = self.sessions[0]
        self.begin(session)
        session.run("SET LOCAL client_min_messages = warning; " + self.args.also)
        for _ in range(3):
            self.work(session)
        self.send_end(session, "COMMIT")
        self.receive_end(session, session.transaction, "commit")
        print(session.transaction.xid)
        self.finish()

    def finish(self):
        xids = [e["xid"] for e in self.ended if e["what"] == "commit"]
        times = {}
        if xids:
            for line in self.watcher.run(
                    "SELECT x, (extract(epoch FROM pg_xact_commit_timestamp(x::text::xid)) * 1000000)::bigint"
                    " FROM unnest(ARRAY[%s]) AS x" % ", ".join(map(str, xids))):
                xid, time = line.split("|")
                times[int(xid)] = int(time)
        for entry in self.ended:
            if entry["what"] == "commit":
                entry["time"] = times[entry["xid"]]
            self.log.write(json.dumps(entry) + "\n")
        self.log.close()
        self.suspend()
        for session in self.sessions + [self.watcher]:
            session.close()


# --- the records ---------------------------------------------------------------------------------

LINE = re.compile(r"rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), lsn: (\S+), prev \S+, desc: (.*)")
TIME = re.compile(r"(?:(\d+): )?(\d+-\d+-\d+ \d+:\d+:\d+\.\d+ UTC)")


def end_of_record(lsn, length, size):
    """Where a record ends, with the page headers in it."""
    while length > 0:
        if lsn % 8192 == 0:
            lsn += 40 if lsn % size == 0 else 24
        part = min(length, 8192 - lsn % 8192)
        lsn, length = lsn + part, length - part
    return lsn


def ingest(args):
    """Reads the records of a timeline in the server's own pg_wal, up to the last archived segment."""
    wal = os.path.join(args.data, "pg_wal")
    names = sorted(n for n in os.listdir(wal) if re.fullmatch("%08X[0-9A-F]{16}" % args.timeline, n) and n <= args.last)
    size = os.path.getsize(os.path.join(wal, names[0]))
    per_id = (1 << 32) // size
    segment = lambda name: int(name[8:16], 16) * per_id + int(name[16:24], 16)
    limit = (segment(args.last) + 1) * size
    if segment(names[-1]) - segment(names[0]) != len(names) - 1:
        raise SystemExit("pg_wal has not all segments: %s" % names)
    dump = subprocess.run(
        [os.path.join(PG_BIN, "pg_waldump"), "-p", wal, "-t", str(args.timeline), names[0], names[-1]],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TZ": "UTC"})
    known = read_log(args.timeline)
    begin = (fork(args.timeline) or {"lsn": 0})["lsn"]
    records, commits = [], {}
    for line in dump.stdout.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        manager, length, xid, lsn, text = match.groups()
        lsn, xid, time, what = to_lsn(lsn), int(xid), None, ""
        if not begin <= lsn < limit:
            continue
        if manager == "Transaction" and re.match(r"(COMMIT|ABORT)", text):
            what = "commit" if text.startswith("COMMIT") else "abort"
            found = TIME.search(text)
            if found.group(1):
                xid = int(found.group(1))
            time = to_us(found.group(2))
            commits[xid] = (what, lsn, time)
            subs = re.search(r"subxacts: ((?:\d+ ?)+)", text)
            text = subs.group(1) if subs else ""
        elif manager == "XLOG" and text.startswith("RESTORE_POINT"):
            what, text = "point", text.split(" ", 1)[1]
        elif manager == "XLOG" and text.startswith("BACKUP_END"):
            what, text = "backup_end", str(to_lsn(text.split(" ", 1)[1]))
        elif manager == "Database" and text.startswith("DROP"):
            what, text = "drop_database", ""
        else:
            text = ""
        records.append([lsn, end_of_record(lsn, int(length), size), what, xid, time, text])
    # The workload's own notes and the WAL must tell the same.
    for entry in known:
        if entry["what"] == "point" or to_lsn(entry["after"]) > limit:
            continue
        what, lsn, time = commits.get(entry["xid"], (None, None, None))
        if what != entry["what"]:
            raise SystemExit("the WAL of timeline %d does not know %s" % (args.timeline, entry))
        if what == "commit" and time != entry["time"]:
            raise SystemExit("%s has another time in the WAL: %s" % (entry, us_text(time)))
        if not to_lsn(entry["before"]) <= lsn < to_lsn(entry["after"]):
            raise SystemExit("%s has another place in the WAL: %s" % (entry, lsn_text(lsn)))
    with open(path_of("records", args.timeline), "w") as file:
        json.dump(records, file)
    with open(path_of("archived", args.timeline), "w") as file:
        json.dump([segment(names[0]), segment(args.last)], file)


def note_fork(args):
    with open(args.history) as file:
        parents = [line.split() for line in file if line.strip() and not line.startswith("#")]
    with open(path_of("fork", args.timeline), "w") as file:
        json.dump({"parent": int(parents[-1][0]), "lsn": to_lsn(parents[-1][1])}, file)


# --- picking targets -----------------------------------------------------------------------------

def pick(args):
    """Prints "xid time lsn" of an event on a timeline, between two positions."""
    chosen = random.Random("%s %s" % (args.seed, args.nth))
    begin, end = to_lsn(args.begin), to_lsn(args.end)
    records = [r for r in records_on(args.timeline) if begin <= r.lsn < end]
    logged = {e["xid"]: e for tl, _, _ in ancestry(args.timeline) for e in read_log(tl) if "xid" in e}
    if args.what == "record":
        found = records
    elif args.what == "point":
        found = [r for r in records if r.what == "point" and r.text != "switch"]
    elif args.what == "drop":
        found = [r for r in records if r.what == "drop_database"]
    elif args.what == "last":  # of the workload's commits
        found = [r for r in records if r.what == "commit" and r.xid in logged][-1:]
    elif args.what == "subtransaction":
        xids = [s for e in logged.values() if e["what"] == "commit" and any(
            r.xid == e["xid"] for r in records if r.what == "commit") for s in e["subs"]]
        print(chosen.choice(xids), 0, "0/0")
        return
    elif args.what == "inversion":
        # A commit that is later in the WAL than another with a later time.
        found, latest = [], 0
        for r in records_on(args.timeline):
            if r.what == "commit":
                if r.time < latest and begin <= r.lsn < end and r.xid in logged:
                    found.append(r)
                latest = max(latest, r.time)
    else:
        found = [r for r in records if r.what == args.what and r.xid in logged]
        if args.gid is not None:
            found = [r for r in found if bool(logged[r.xid]["gid"]) == (args.gid == "yes")]
    if args.xid:
        found = [r for r in found if r.xid == args.xid]
    if not found:
        raise SystemExit("nothing to pick: %s" % vars(args))
    r = chosen.choice(found)
    print(r.text if r.what == "point" else r.xid, r.time or 0, lsn_text(r.lsn))


# --- what must be ---------------------------------------------------------------------------------

def backup_rows(info, cluster="main"):
    return [b for c in info["clusters"] if c["name"] == cluster for b in c["backups"]]


def serves(backup, line, records, boundary, target):
    """Whether recovery from this backup along this line of timelines can stop there."""
    on_line = any(tl == backup["timeline"] and to_lsn(backup["stop_lsn"]) <= end for tl, _, end in line)
    if not on_line or boundary is None:
        return False
    end_record = backup_end(records, backup)
    if end_record is None or records.index(end_record) >= boundary:
        return False
    if target["kind"] == "time":
        for r in records[:records.index(end_record) + 1]:
            if r.what == "commit" and (r.time > target["us"] or not target["inclusive"] and r.time == target["us"]):
                return False
    return True


def backup_end(records, backup):
    for r in records:
        if r.what == "backup_end" and r.text == str(to_lsn(backup["start_lsn"])) and r.tl == backup["timeline"]:
            return r
    return None


def boundary_of(records, redo, target, backup):
    """How many records are replayed; the kind of the message that says so; the record it names."""
    kind, inclusive = target["kind"], target["inclusive"]
    first = bisect.bisect_left([r.lsn for r in records], redo)
    after = list(enumerate(records))[first:]
    if kind == "time":
        for i, r in after:
            if r.what in ("commit", "abort") and (r.time > target["us"] or not inclusive and r.time == target["us"]):
                return i, "before %s" % r.what, r
        return len(records), "end", records[-1]
    if kind == "xid":
        for i, r in after:
            if r.what in ("commit", "abort") and r.xid == int(target["value"]):
                return i + inclusive, "%s %s" % ("after" if inclusive else "before", r.what), r
    if kind == "name":
        for i, r in after:
            if r.what == "point" and r.text == target["value"]:
                return i + 1, "point", r
    if kind == "lsn":
        for i, r in after:
            if r.lsn >= to_lsn(target["value"]):
                return i + inclusive, "after lsn" if inclusive else "before lsn", r
    if kind == "immediate":
        end = backup_end(records, backup)
        if end:
            return records.index(end) + 1, "consistency", end
    if kind == "end":
        return len(records), "end", records[-1]
    return None, None, None


def expect(args):
    with open(args.plan) as file:
        plan = json.load(file)
    with open(args.info) as file:
        backups = backup_rows(json.load(file))
    target = {"kind": args.kind, "value": args.value, "inclusive": not args.exclusive}
    if args.kind == "time":
        target["us"] = to_us(args.value)
    problems = []

    def equal(expected, found, what):
        if expected != found:
            problems.append("%s: expected %s, got %s" % (what, expected, found))

    equal(True, plan.get("reachable"), "reachable")
    equal(None, plan.get("reason"), "reason")
    equal([], plan.get("missing"), "missing")
    equal(args.kind, plan["target"]["kind"], "target.kind")
    if args.kind not in ("immediate", "end", "name"):
        equal(not args.exclusive, plan["target"]["inclusive"], "target.inclusive")

    # The newest timeline that reaches it, and there the latest backup that serves it.
    choices = []
    for timeline in [args.timeline] if args.timeline else timelines()[::-1]:
        records, line = records_on(timeline), ancestry(timeline)
        for backup in backups:
            if args.backup and backup["id"] != args.backup:
                continue
            boundary, message, record = boundary_of(records, to_lsn(backup["start_lsn"]), target, backup)
            if serves(backup, line, records, boundary, target):
                choices.append((to_lsn(backup["stop_lsn"]), backup, timeline, boundary, message, record))
        if choices:
            break
    if not choices:
        raise SystemExit("the truth does not know %s" % target)
    _, backup, timeline, boundary, message, record = max(choices, key=lambda c: c[0])
    if plan.get("backup") is None:
        problems.append("not planned: %s" % plan.get("reason"))
        report(problems)
    equal(timeline, plan["timeline"], "timeline")
    equal(backup["id"], plan["backup"], "backup")
    line = [tl for tl, _, _ in ancestry(timeline)]
    equal(line, plan["timeline_path"], "timeline_path")

    records = records_on(timeline)
    kept, lost = records[:boundary], records[boundary:]
    commits = [r for r in kept if r.what == "commit"]
    replayed = [r for r in kept if r.what in ("commit", "abort") and r.lsn >= to_lsn(backup["start_lsn"])]
    last = commits[-1] if commits else None
    following = next((r for r in lost if r.what == "commit"), None)

    # A drop of a database whose commit is not wanted must not be replayed.
    removal = False
    if args.kind == "time" or args.kind == "xid" and args.exclusive:
        wanted = kept.index(last) if last else 0
        for i, r in enumerate(kept):
            if i > wanted and r.what == "drop_database":
                # It is marked as invalid before its own record, so recovery ends with the last
                # wanted commit.
                kept, lost, message, record = records[:wanted + 1], records[wanted + 1:], "after lsn", last
                replayed = [x for x in replayed if x.lsn < last.lsn]
                removal = True
                break
    if message == "end" and args.kind == "time":
        message = "after lsn"
    if message == "after lsn" and record:
        # recoveryStopsAfter() stops at the position before it notes the record's time.
        replayed = [x for x in replayed if x.lsn < record.lsn]

    stops = plan["stops_at"]
    # What happened before the WAL that recovery reads need not be known; then it is null.
    unknown = last and last.lsn < to_lsn(backup["start_lsn"])
    if args.kind in ("time", "xid"):
        if message == "after lsn" and not removal:
            equal("end_of_wal", stops["kind"], "stops_at.kind")
        elif unknown and stops["xid"] is None and stops["time"] is None:
            equal("lsn", stops["kind"], "stops_at.kind")
        else:
            equal("commit", stops["kind"], "stops_at.kind")
            equal(last.xid, stops["xid"], "stops_at.xid")
            equal(last.time, stops["time"] and to_us(stops["time"]), "stops_at.time")
            if not last.lsn <= to_lsn(stops["lsn"]) <= last.end + 64:
                problems.append("stops_at.lsn: expected %s, got %s" % (lsn_text(last.lsn), stops["lsn"]))
    else:
        equal({"name": "restore_point", "lsn": "lsn", "immediate": "consistency", "end": "end_of_wal"}[args.kind],
              stops["kind"], "stops_at.kind")
        low = kept[-1].lsn
        high = lost[0].lsn if lost else kept[-1].end + 64
        if args.kind == "end":  # fill after the switch of segments is not told apart
            high += 1 << 30
        if not low <= to_lsn(stops["lsn"]) <= high:
            problems.append("stops_at.lsn: expected %s to %s, got %s" % (lsn_text(low), lsn_text(high), stops["lsn"]))
    for name, r in (("commit_before", last), ("commit_after", following)):
        found = plan.get(name)
        if name == "commit_before" and found is None and unknown:
            continue
        equal(r and (r.xid, r.time), found and (found["xid"], found["time"] and to_us(found["time"])), name)

    # PostgreSQL reads the record that it stops at to its end, be it kept or not.
    if args.kind != "end":
        read_to = kept[-1] if message in ("consistency", "point") or message.startswith("after") else record
        segment_of = lambda name: int(name[8:16], 16) << 32 | int(name[16:24], 16) * args.segment_size
        if not segment_of(plan["first_segment"]) <= to_lsn(backup["start_lsn"]):
            problems.append("first_segment is %s, redo begins at %s" % (plan["first_segment"], backup["start_lsn"]))
        if not segment_of(plan["last_segment"]) <= read_to.end - 1 < segment_of(plan["last_segment"]) + args.segment_size:
            problems.append("last_segment is %s, the last record read is from %s to %s" % (
                plan["last_segment"], lsn_text(read_to.lsn), lsn_text(read_to.end)))

    rows = {}
    logged = {(tl, e["xid"]): e for tl in line for e in read_log(tl) if e["what"] == "commit"}
    for r in commits:
        for row, version in logged.get((r.tl, r.xid), {"rows": {}})["rows"].items():
            rows[int(row)] = version
    with open(args.rows, "w") as file:
        for row in sorted(rows):
            if rows[row] is not None:
                file.write("%d\t%d\t%s\n" % (row, rows[row], payload(row, rows[row])))
    with open(args.out, "w") as file:
        json.dump({
            "message": message, "xid": record.xid, "record_time": record.time, "record_lsn": record.lsn,
            "name": record.text, "last_time": replayed[-1].time if replayed else None,
            "replay_from": kept[-1].lsn, "replay_to": lost[0].lsn if lost else None,
            "rows": len([v for v in rows.values() if v is not None]), "timeline": timeline}, file)
    report(problems)


def report(problems):
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


# --- many plans ------------------------------------------------------------------------------------

class Backup:
    """What PostgreSQL says of a backup: the history file that it leaves in pg_wal, and between which
    moments of the server's clock it was taken."""

    def __init__(self, path):
        with open(path) as file:
            said = dict(line.rstrip("\n").split(": ", 1) for line in file if ": " in line)
        self.id = os.path.basename(path)[:-len(".backup")]
        self.start = to_lsn(said["START WAL LOCATION"].split()[0])
        self.stop = to_lsn(said["STOP WAL LOCATION"].split()[0])
        self.timeline = int(said["START TIMELINE"])
        self.between = int(said["BEGUN AFTER"]), int(said["ENDED BEFORE"])


class Archive:
    """Which segments are stored: all that were archived but `missing`."""

    def __init__(self, size, missing):
        self.size = size
        self.stored = {}
        for timeline in timelines():
            with open(path_of("archived", timeline)) as file:
                first, last = json.load(file)
            self.stored[timeline] = {n for n in range(first, last + 1) if self.name(timeline, n) not in missing}
        self.backups = sorted(
            (Backup(os.path.join(TRUTH, n)) for n in os.listdir(TRUTH) if n.endswith(".backup")),
            key=lambda b: (b.stop, b.id))
        self.lines = {timeline: Line(self, timeline) for timeline in timelines()}
        self.candidates = {}

    def candidate(self, line, backup):
        key = line.timeline, backup.id
        if key not in self.candidates:
            self.candidates[key] = Candidate(line, backup)
        return self.candidates[key]

    def name(self, timeline, number):
        per_id = (1 << 32) // self.size
        return "%08X%08X%08X" % (timeline, number // per_id, number % per_id)


class Line:
    """What recovery to the end of a timeline can read."""

    def __init__(self, archive, timeline):
        self.archive, self.timeline = archive, timeline
        self.stretches = ancestry(timeline)
        self.path = [tl for tl, _, _ in self.stretches]
        self.records = records_on(timeline)
        self.starts = [r.lsn for r in self.records]
        self.ends = [r.end for r in self.records]
        self.commits = [r for r in self.records if r.what == "commit"]
        self.events = [(i, r) for i, r in enumerate(self.records) if r.what in ("commit", "abort", "point")]
        # subtransaction: index of the record that ended its transaction
        self.subs = {int(sub): i for i, r in self.events if r.what != "point" for sub in r.text.split()}

    def owner(self, number):
        """The newest timeline that has begun in a segment, and where."""
        size = self.archive.size
        return [s for s in self.stretches if s[1] // size <= number][-1]

    def follow(self, start):
        """(names of the segments, end of the WAL in them, names of those missing before later ones)"""
        size, stored = self.archive.size, self.archive.stored
        number, names = start // size, []
        while True:
            timeline, begin, _ = self.owner(number)
            if number in stored[timeline]:
                names.append(self.archive.name(timeline, number))
                number += 1
                continue
            end = number * size
            for parent, child in zip(self.path[-2::-1], self.stretches[:0:-1]):
                # A parent's segment has what lies before the fork.
                if child[0] <= timeline and child[1] >= number * size and number in stored[parent]:
                    names.append(self.archive.name(parent, number))
                    end = child[1]
                    break
            later = [n for tl, fork, _ in self.stretches if fork >= begin for n in stored[tl] if n > number]
            if not later:  # WAL that goes on from here, although on a timeline that forked off behind it
                later = [min(stored[line.timeline]) for line in self.archive.lines.values()
                         for tl, begun, forked in line.stretches
                         if line.timeline != timeline and tl == timeline and stored[line.timeline] and
                         begun < (number + 1) * size <= forked]
            missing = range(number, min(later, default=number))
            return names, end, [self.archive.name(self.owner(n)[0], n) for n in missing]

    def is_stored(self, record):
        size = self.archive.size
        return all(n in self.archive.stored[self.owner(n)[0]]
                   for n in range(record.lsn // size, (record.end - 1) // size + 1))

    def known_from(self, start):
        """Since when all WAL before `start` is stored."""
        size, number = self.archive.size, start // self.archive.size
        while number in self.archive.stored[self.owner(number)[0]]:
            number -= 1
            if number < 0:
                break
        return (number + 1) * size


class Unclear(Exception):
    """PostgreSQL's own notes do not decide it."""


class Candidate:
    """Recovery from one backup along one line."""

    def __init__(self, line, backup):
        self.line, self.backup = line, backup
        self.names, self.end, self.missing = line.follow(backup.start)
        self.first = bisect.bisect_left(line.starts, backup.start)
        self.behind = bisect.bisect_right(line.ends, self.end)  # the first record that cannot be read
        self.known_from = line.known_from(backup.start)
        contained = [r for r in line.commits if r.lsn < backup.stop]
        self.contained = max((r.time for r in contained), default=None)
        self.known = max((r.time for r in contained if line.is_stored(r)), default=0)
        # Of commits in a gap nothing is known: where one lies right before it, the backup's end counts, too.
        self.ends_in_gap = not any(r.lsn >= self.known_from for r in contained)

    def is_possible(self):
        return self.end >= self.backup.stop and self.first < self.behind

    def find(self, target):
        """(reason code, None…) or (None, how many records are kept, kind of the stop, record it reads last)"""
        records, kind = self.line.records, target["kind"]
        last = records[self.behind - 1]
        if kind == "time":
            past = lambda time: time > target["us"] or not target["inclusive"] and time == target["us"]
            if past(self.known) or self.ends_in_gap and past(self.backup.between[0]):
                return "before_backup", None, None, None
            if self.ends_in_gap and past(self.backup.between[1]):
                raise Unclear()
            if past(self.contained or 0):
                raise Unclear()  # in a gap, and by a clock that was put back: nobody can know
            for i, r in self.line.events:
                if self.first <= i < self.behind and r.what != "point" and past(r.time):
                    if r.lsn < self.backup.stop:
                        return "before_backup", None, None, None
                    return None, i, "commit", r
            if target["us"] > target["now"]:
                return "in_the_future", None, None, None
            if self.missing:
                return "wal_gap", None, None, None
            if target["strict"]:
                return "after_last_commit", None, None, None
            if last.lsn < self.backup.stop:
                return "wal_missing", None, None, None
            return None, self.behind, "end_of_wal", last
        if kind in ("xid", "name"):
            for i, r in self.line.events:
                if not self.first <= i < self.behind:
                    continue
                if kind == "xid" and r.what != "point" and r.xid == target["xid"] or \
                        kind == "name" and r.what == "point" and r.text == target["value"]:
                    if r.lsn < self.backup.stop:
                        return "before_backup", None, None, None
                    if kind == "name":
                        return None, i + 1, "restore_point", r
                    return None, i + target["inclusive"], "commit", r
            if kind == "xid" and self.first <= self.line.subs.get(target["xid"], -1) < self.behind:
                return "subtransaction", None, None, None
            if self.missing:
                return "wal_gap", None, None, None
            return "xid_not_found" if kind == "xid" else "restore_point_not_found", None, None, None
        if kind == "lsn":
            at = bisect.bisect_left(self.line.starts, target["lsn"])
            ends_backup = target["inclusive"] and self.first <= at < self.behind and \
                (at + 1 == len(self.line.starts) or self.line.starts[at + 1] >= self.backup.stop)
            if target["lsn"] < self.backup.stop and not ends_backup:
                return "before_backup", None, None, None
            if at >= self.behind:
                return "wal_gap" if self.missing else "after_end", None, None, None
            return None, at + target["inclusive"], "lsn", records[at]
        if kind == "immediate":
            at = bisect.bisect_left(self.line.starts, self.backup.stop)
            return None, at, "consistency", records[at - 1]
        if self.missing and not target["until_gap"]:
            return "wal_gap", None, None, None
        return None, self.behind, "end_of_wal", last

    def answer(self, target):
        """What the plan must say."""
        code, kept, stop, read = self.find(target)
        if code:
            return {"reason": code, "missing": self.missing if code == "wal_gap" else []}
        line, backup = self.line, self.backup
        boundary = line.starts[kept] if kept < len(line.starts) else 1 << 63
        before = [r for r in line.commits if r.lsn < boundary][-1:]
        if before and before[0].lsn < self.known_from:
            before = []
        after = [r for r in line.commits if r.lsn >= boundary and r.end <= self.end][:1]
        commit = lambda found: (found[0].xid, found[0].time, found[0].lsn) if found else None
        if target["kind"] in ("time", "xid") and stop == "commit" and not before:
            stop = "lsn"
        number = (read.end - 1) // self.line.archive.size
        count = number - backup.start // line.archive.size + 1
        if target["kind"] == "end":
            count = len(self.names)
        return {
            "reason": None, "missing": [], "backup": backup.id, "timeline": line.timeline, "timeline_path": line.path,
            "stops_at.kind": stop, "commit_before": commit(before), "commit_after": commit(after),
            "first_segment": self.names[0], "last_segment": self.names[count - 1], "segment_count": count}


REFUSED = {"reachable": False, "backup": None, "timeline": None, "timeline_path": [], "stops_at": None,
           "commit_before": None, "commit_after": None}


def answer(archive, target):
    """The newest timeline that reaches the target, and there the newest backup that serves it."""
    def tells(code):
        """That the target was not seen tells less than where it lies; that a backup is too new least of all."""
        return 0 if code == "before_backup" else 1 if code.endswith("_not_found") else 2

    def leads(backup, line):
        return any(tl == backup.timeline and begin <= backup.start and backup.stop <= end
                   for tl, begin, end in line.stretches)

    lines = [archive.lines[tl] for tl in sorted(archive.lines, reverse=True)]
    if target["timeline"] is None and target["backup"] in [backup.id for backup in archive.backups]:
        lines = [line for line in lines
                 if any(backup.id == target["backup"] and leads(backup, line) for backup in archive.backups)]
    if target["timeline"] not in (None, "latest"):
        lines = [line for line in lines if line.timeline == target["timeline"]]
    elif target["kind"] == "end" or target["timeline"] == "latest":
        lines = lines[:1]
    refusal = None
    for line in lines:
        gap_on_newer = refusal and refusal["reason"].startswith("wal_")
        for backup in reversed(archive.backups):
            if target["backup"] not in (None, backup.id):
                continue
            if not leads(backup, line):
                continue
            candidate = archive.candidate(line, backup)
            if not candidate.is_possible():
                continue
            found = candidate.answer(target)
            if not found["reason"]:
                # The end of an abandoned timeline is not the moment that lies behind a gap of a newer one.
                if gap_on_newer and found["stops_at.kind"] == "end_of_wal":
                    break
                return found
            if not refusal or tells(found["reason"]) > tells(refusal["reason"]):
                refusal = found
    return refusal or {"reason": "no_backup", "missing": []}


class Chooser:
    """Makes up targets: first one of each sort, then any."""

    def __init__(self, archive, seed, now):
        self.archive, self.random, self.now = archive, random.Random(seed), now
        self.points = sorted({r.text for line in archive.lines.values() for _, r in line.events if r.what == "point"})
        self.subs = sorted({sub for line in archive.lines.values() for sub in line.subs})
        times = sorted({r.time for line in archive.lines.values() for _, r in line.events if r.what != "point"})
        self.times = times
        pauses = sorted(zip(times, times[1:]), key=lambda pair: pair[0] - pair[1])
        self.pauses = pauses[:4]  # the longest
        self.unused = max(r.xid for line in archive.lines.values() for _, r in line.events if r.what != "point")
        self.sorts = [
            (kind, sort) for kind, sorts in (
                ("time", ("exact", "later", "earlier", "between", "pause", "any", "contained",
                          "before all", "last", "strict", "future")),
                ("xid", ("commit", "abort", "subtransaction", "never used", "other epoch")),
                ("lsn", ("record", "inside", "any", "backup", "fork", "boundary", "before all", "beyond")),
                ("name", ("any", "twice", "nobody")), ("immediate", ("",)), ("end", ("",))) for sort in sorts]
        self.weights = [{"time": 5, "xid": 4, "lsn": 3, "name": 3, "immediate": 4, "end": 4}[kind]
                        for kind, _ in self.sorts]

    def event(self, *what):
        line = self.random.choice(list(self.archive.lines.values()))
        return self.random.choice([r for _, r in line.events if r.what in what])

    def time(self, sort):
        choose = self.random
        if sort in ("exact", "later", "earlier"):
            return self.event("commit", "abort").time + {"exact": 0, "later": 1, "earlier": -1}[sort]
        if sort == "between":
            i = choose.randrange(len(self.times) - 1)
            return (self.times[i] + self.times[i + 1]) // 2
        if sort == "pause":
            return choose.randint(*choose.choice(self.pauses))
        if sort == "any":
            return choose.randint(self.times[0], self.times[-1])
        if sort == "contained":
            line = choose.choice(list(self.archive.lines.values()))
            backup = choose.choice(self.archive.backups)
            return (self.archive.candidate(line, backup).contained or 0) + choose.randint(-1, 1)
        if sort == "before all":
            return self.times[0] - choose.randint(1, 10 ** 10)
        if sort == "last":
            line = choose.choice(list(self.archive.lines.values()))
            return max(r.time for r in line.commits) + choose.choice((0, 1, 1000))
        if sort == "strict":
            return self.times[-1] + choose.choice((0, 1))
        return self.now + 3600 * 10 ** 6

    def xid(self, sort):
        if sort in ("commit", "abort"):
            return self.event(sort).xid
        if sort == "subtransaction":
            return self.random.choice(self.subs)
        if sort == "other epoch":
            return self.event("commit").xid + (1 << 32)
        return self.unused + self.random.choice((1, 10000, 3 * 10 ** 9))

    def lsn(self, sort):
        choose, line = self.random, self.random.choice(list(self.archive.lines.values()))
        record = choose.choice(line.records)
        if sort == "record":
            return record.lsn
        if sort == "inside":
            return choose.randint(record.lsn + 1, record.end)
        if sort == "backup":
            backup = choose.choice(self.archive.backups)
            return choose.choice((backup.start, backup.stop, backup.stop - 1, backup.stop + 1))
        if sort == "fork":
            forks = [begin for line in self.archive.lines.values() for _, begin, _ in line.stretches if begin]
            return choose.choice(forks) + choose.choice((-1, 0, 1))
        if sort == "boundary":
            return record.lsn // self.archive.size * self.archive.size + choose.choice((-1, 0, 1))
        if sort == "before all":
            return choose.randint(1, line.starts[0])
        if sort == "beyond":
            return line.starts[-1] + choose.choice((1, 8, 10 ** 9))
        return choose.randint(line.starts[0], line.starts[-1])

    def target(self, number):
        choose = self.random
        turn = number < 2 * len(self.sorts)
        kind, sort = self.sorts[number % len(self.sorts)] if turn else choose.choices(self.sorts, self.weights)[0]
        target = {"kind": kind, "inclusive": True, "strict": False, "until_gap": False, "now": self.now,
                  "timeline": None, "backup": None}
        words = []
        if kind == "time":
            target["us"] = self.time(sort)
            words = ["--target-time", us_text(target["us"]) + "+00"]
            if sort == "strict" or choose.random() < 0.1:
                target["strict"] = True
                words.append("--strict")
        elif kind == "xid":
            target["xid"] = self.xid(sort)
            words = ["--target-xid", str(target["xid"])]
        elif kind == "lsn":
            target["lsn"] = self.lsn(sort)
            words = ["--target-lsn", lsn_text(target["lsn"])]
        elif kind == "name":
            target["value"] = {"twice": "twice", "nobody": "nobody"}.get(sort) or choose.choice(self.points)
            words = ["--target-name", target["value"]]
        elif kind == "immediate":
            words = ["--target-immediate"]
        elif choose.random() < 0.3:
            target["until_gap"] = True
            words = ["--until-gap"]
        if kind in ("time", "xid", "lsn") and choose.random() < 0.4:
            target["inclusive"] = False
            if kind == "xid" and choose.random() < 0.5:
                words[0] = "--before-xid"
            else:
                words.append("--exclusive")
        if turn and number < len(self.sorts):
            return target, words
        if choose.random() < 0.45:
            target["timeline"] = choose.choice(list(self.archive.lines) * 3 + ["latest", "latest", 77])
            words += ["--timeline", str(target["timeline"])]
        if choose.random() < 0.25:
            target["backup"] = choose.choice([b.id for b in self.archive.backups] * 3 + ["nosuch"])
            words += ["--backup", target["backup"]]
        return target, words


def said(plan):
    """What a plan says, in the words of answer()."""
    commit = lambda c: c and (c["xid"], to_us(c["time"]), to_lsn(c["lsn"]))
    return {
        "reason": plan["reason"] and plan["reason"]["code"], "reachable": plan["reachable"],
        "missing": plan["missing"], "backup": plan["backup"], "timeline": plan["timeline"],
        "timeline_path": plan["timeline_path"], "stops_at": plan["stops_at"],
        "stops_at.kind": plan["stops_at"] and plan["stops_at"]["kind"],
        "commit_before": commit(plan["commit_before"]), "commit_after": commit(plan["commit_after"]),
        "first_segment": plan["first_segment"], "last_segment": plan["last_segment"],
        "segment_count": plan["segment_count"]}


def differences(expected, status, output):
    try:
        plan = json.loads(output)
        found = said(plan)
    except (ValueError, KeyError, TypeError) as error:
        return ["status %d, not a plan (%r): %s" % (status, error, output[:300])]
    problems = []
    wanted = {**expected, "reachable": True} if not expected["reason"] else {**REFUSED, **expected}
    for name in wanted:
        if wanted[name] != found[name]:
            problems.append("%s: expected %.200s, got %.200s" % (name, wanted[name], found[name]))
    if status != (3 if expected["reason"] else 0):
        problems.append("status %d" % status)
    stops = plan["stops_at"]
    if stops and stops["kind"] == "commit":
        if (stops["xid"], to_us(stops["time"]), to_lsn(stops["lsn"])) != found["commit_before"]:
            problems.append("stops_at is not commit_before: %s" % stops)
    return problems


def plans(args):
    """Asks for many plans, and compares each with what must be."""
    import collections
    import concurrent.futures
    import time
    archive = Archive(args.segment_size, set(args.missing))
    now = int(time.time() * 10 ** 6)
    chooser = Chooser(archive, args.seed, now)
    wanted = []
    number = unclear = 0
    while len(wanted) < args.count:
        target, words = chooser.target(number)
        number += 1
        try:
            wanted.append((words, answer(archive, target)))
        except Unclear:
            unclear += 1

    def ask(words):
        done = subprocess.run(
            [os.path.join(os.environ["PITR_BIN"], "pitr"), "--config", args.config, "--log-level", "error",
             "restore", "--dry-run", "--json", *words],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
        return done.returncode, done.stdout

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, [words for words, _ in wanted]))
    wrong, codes = 0, collections.Counter()
    for (words, expected), (status, output) in zip(wanted, answers):
        codes[expected["reason"] or "reachable"] += 1
        problems = differences(expected, status, output)
        if problems:
            wrong += 1
            if wrong <= args.show:
                print("pitr restore --dry-run --json %s\n    %s" % (" ".join(words), "\n    ".join(problems)))
    print("%d plans, %d wrong, %d left out as unclear: %s" % (
        len(wanted), wrong, unclear, ", ".join("%s %d" % pair for pair in codes.most_common())))
    for code in args.expect:
        if not codes[code]:
            print("no target is expected to be %s: the history has none" % code)
            wrong += 1
    sys.exit(bool(wrong))


def compare(args):
    """What the server said and says against what was expected."""
    with open(args.expected) as file:
        expected = json.load(file)
    with open(args.log, errors="replace") as file:
        log = file.read()
    problems = []
    stopping = re.findall(r"recovery stopping (.*)", log)
    message = expected["message"]
    time = us_text(expected["record_time"] or 0)
    time = re.sub(r"\.?0*$", "", time) if expected["record_time"] else time
    if message.split(" ")[-1] in ("commit", "abort"):
        where, what = message.split(" ")
        line = "%s %s of transaction %d, time " % (where, what, expected["xid"])
        time_matters = True
    elif message.endswith("lsn"):
        line = "%s WAL location (LSN) \"%s\"" % (message.split(" ")[0], lsn_text(expected["record_lsn"]))
        time_matters = False
    elif message == "point":
        line, time_matters = "at restore point \"%s\", time " % expected["name"], False
    elif message == "consistency":
        line, time_matters = "after reaching consistency", False
    else:
        line, time_matters = None, False
    if line is None:
        if stopping:
            problems.append("the server stops although there is no target: %s" % stopping)
    else:
        if len(set(stopping)) != 1 or not stopping[0].startswith(line):
            problems.append("expected \"recovery stopping %s\", the server says %s" % (line, stopping))
        elif time_matters:
            found = re.search(r"time (.*)", stopping[0]).group(1)
            if to_us(found) != expected["record_time"]:
                problems.append("expected to stop at time %s, the server says %s" % (time, found))
    completed = re.findall(r"last completed transaction was at log time (.*)", log)
    for text in completed[:1]:
        if to_us(text) != expected["last_time"]:
            problems.append("last completed transaction: expected %s, the server says %s" % (
                expected["last_time"] and us_text(expected["last_time"]), text))
    if args.promoted and expected["last_time"] and not completed:
        problems.append("the server does not name the last completed transaction")
    if args.replay_lsn:
        replay = to_lsn(args.replay_lsn)
        if replay <= expected["replay_from"] or expected["replay_to"] and replay > expected["replay_to"]:
            problems.append("replayed to %s instead of between %s and %s" % (
                args.replay_lsn, lsn_text(expected["replay_from"]),
                expected["replay_to"] and lsn_text(expected["replay_to"])))
    with open(args.expected_rows) as file:
        wanted = set(file)
    with open(args.rows) as file:
        found = file.readlines()
    if len(found) != len(set(found)):
        problems.append("rows more than once")
    found = set(found)
    for title, rows in (("missing", wanted - found), ("too many", found - wanted)):
        for row in sorted(rows)[:5]:
            problems.append("row %s: %s" % (title, row.strip()))
        if len(rows) > 5:
            problems.append("… %d rows %s" % (len(rows), title))
    report(problems)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "one"):
        command = commands.add_parser(name)
        command.add_argument("--socket", required=True)
        command.add_argument("--timeline", type=int, default=1)
        command.add_argument("--seed", default="1")
        command.add_argument("--steps", type=int, default=100)
        command.add_argument("--sessions", type=int, default=4 if name != "one" else 1)
        command.add_argument("--points", default="")
        command.add_argument("--prepared", action="store_true")
        command.add_argument("--leave-prepared", action="store_true")
        command.add_argument("--also", default="SELECT 1")
    command = commands.add_parser("ingest")
    command.add_argument("--data", required=True)
    command.add_argument("--timeline", type=int, required=True)
    command.add_argument("--last", required=True)
    command = commands.add_parser("fork")
    command.add_argument("--timeline", type=int, required=True)
    command.add_argument("--history", required=True)
    command = commands.add_parser("pick")
    command.add_argument("what")
    command.add_argument("--timeline", type=int, required=True)
    command.add_argument("--begin", default="0/0")
    command.add_argument("--end", default="7FFFFFFF/0")
    command.add_argument("--seed", required=True)
    command.add_argument("--nth", default="")
    command.add_argument("--xid", type=int)
    command.add_argument("--gid", choices=("yes", "no"))
    command = commands.add_parser("expect")
    for name in ("--plan", "--info", "--rows", "--out", "--kind"):
        command.add_argument(name, required=True)
    command.add_argument("--value", default="")
    command.add_argument("--exclusive", action="store_true")
    command.add_argument("--timeline", type=int)
    command.add_argument("--backup")
    command.add_argument("--segment-size", type=int, default=1 << 20)
    command = commands.add_parser("compare")
    for name in ("--expected", "--log", "--rows", "--expected-rows"):
        command.add_argument(name, required=True)
    command.add_argument("--replay-lsn")
    command.add_argument("--promoted", action="store_true")
    command = commands.add_parser("plans")
    command.add_argument("--config", required=True)
    command.add_argument("--seed", required=True)
    command.add_argument("--count", type=int, required=True)
    command.add_argument("--missing", nargs="*", default=[], help="segments that are not stored any more")
    command.add_argument("--expect", nargs="*", default=[], help="codes that must occur")
    command.add_argument("--show", type=int, default=10)
    command.add_argument("--segment-size", type=int, default=1 << 20)
    args = parser.parse_args()
    if args.command in ("run", "one"):
        getattr(Workload(args), args.command)()
    else:
        {"ingest": ingest, "fork": note_fork, "pick": pick, "expect": expect, "compare": compare,
         "plans": plans}[args.command](args)


main()
