#!/usr/bin/env python3
"""What pg_waldump says of a run of segments, against what pitr's reader and index say of it.

index_equals_pg_waldump.sh calls this:

    waldump_truth.py --pg-waldump PROGRAM --wal-dump PROGRAM [--unfinished FILE] [--expect NAME,…]
        SEGMENT…

The segments are consecutive whole ones of one timeline, named as PostgreSQL names them. The
unfinished one follows on them; it is compared by its index alone. Every NAME of a kind of thing
must be there at least once, so that what is compared is not nothing.

The truth is pg_waldump's text. Two things it does not print, the info bits and the time of a restore
point, are read from the segments here: where a record stands is pg_waldump's word for these too.
"""
import argparse
import calendar
import collections
import os
import re
import subprocess
import sys
import time

PAGE = 8192
SHORT_HEADER, LONG_HEADER = 24, 40  # of a page: SizeOfXLogShortPHD, SizeOfXLogLongPHD
EPOCH = 946684800  # 2000-01-01
SHOWN = 15  # differing lines

LINE = re.compile(
    r"rmgr: (\S+) +len \(rec/tot\): +\d+/ *(\d+), tx: +(\d+), "
    r"lsn: ([0-9A-F]+/[0-9A-F]+), prev ([0-9A-F]+/[0-9A-F]+), desc: (\S+)(.*)")
BLOCK = re.compile(
    r", blkref #(\d+): rel (\d+/\d+/\d+)(?: fork (\w+))? blk (\d+)( FPW(?: for WAL verification)?)?(?=,|\s*$)")
MOMENT = re.compile(r"(?:(\d+): )?(\d+-\d+-\d+ \d+:\d+:\d+)\.(\d{6}) UTC")
PATH = re.compile(
    r"(?:(base)/(\d+)|(global)|pg_tblspc/(\d+)/[^/]+/(\d+))/(\d+)(?:_(fsm|vm|init))?")
ENDS = {"COMMIT": "commit", "ABORT": "abort",
        "COMMIT_PREPARED": "commit_prepared", "ABORT_PREPARED": "abort_prepared"}


def die(text):
    sys.exit("waldump_truth: " + text)


def to_lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn):
    return "%X/%08X" % (lsn >> 32, lsn & 0xFFFFFFFF)


def to_time(text, fraction):
    """Microseconds since 2000."""
    seconds = calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) - EPOCH
    return seconds * 1000000 + int(fraction)


def to_file(path):
    """spc/db/rel and the fork of a path below the data directory."""
    match = PATH.fullmatch(path)
    if not match:
        die("not a relation's path: %r" % path)
    base, database, shared, space, database_there, number, fork = match.groups()
    if base:
        file = "1663/%s/%s" % (database, number)
    elif shared:
        file = "1664/0/%s" % number
    else:
        file = "%s/%s/%s" % (space, database_there, number)
    return file, fork or "main"


def fields_of(pattern, text, line):
    match = re.match(pattern, text, re.DOTALL)
    if not match:
        die("pg_waldump's line is not understood: %r" % line[:400])
    return match.groups()


class Record:
    """One of pg_waldump's lines. `facts` are what wal_dump prints of it behind R and B: a letter
    and its fields, all text."""

    def __init__(self, wal, line):
        match = LINE.fullmatch(line)
        if not match:
            die("pg_waldump's line is not understood: %r" % line[:400])
        manager, length, xid, lsn, previous, self.what, self.text = match.groups()
        self.manager, self.xid, self.length = manager, int(xid), int(length)
        self.start, self.previous = to_lsn(lsn), to_lsn(previous)
        self.end = wal.end_of(self.start, self.length)
        self.info = wal.read(self.start, 24)[16]
        self.is_switch = manager == "XLOG" and self.what == "SWITCH"

        self.blocks = []  # id, file, fork, block, with an image
        cut = self.text.find(", blkref #")
        if cut >= 0:
            rest = self.text[cut:]
            found = list(BLOCK.finditer(rest))
            if len(found) != rest.count(", blkref #"):
                die("pg_waldump's line is not understood: %r" % line[:400])
            self.text = self.text[:cut]
            self.blocks = [(int(m[1]), m[2], m[3] or "main", int(m[4]), bool(m[5])) for m in found]

        self.facts = []
        kind = getattr(self, "read_" + manager.lower(), None)
        if kind:
            kind(wal, line)

    def read_transaction(self, wal, line):
        if self.what not in ENDS:
            return
        parts = self.text.strip().split("; ")
        own, moment, fraction = fields_of(MOMENT.pattern, parts[0], line)
        lists = {"rels": [], "subxacts": []}
        for part in parts[1:]:
            name, _, values = part.partition(":")
            if name in lists:
                lists[name] = values.split()
        self.facts.append((
            "C", ENDS[self.what], own or str(self.xid), str(to_time(moment, fraction)),
            ",".join(lists["subxacts"]) or "-",
            ",".join(to_file(path)[0] for path in lists["rels"]) or "-"))

    def read_xlog(self, wal, line):
        if self.what == "RESTORE_POINT":
            # The record's header, a short header of its data (255, length), time, name.
            data = wal.read(self.start, 34)
            if data[24] != 255:
                die("not a restore point: %r" % line)
            moment = int.from_bytes(data[26:34], "little", signed=True)
            self.facts.append(("P", str(moment), self.text[1:]))
        elif self.what in ("CHECKPOINT_SHUTDOWN", "CHECKPOINT_ONLINE"):
            redo, epoch, xid, kind = fields_of(
                r" redo (\S+?);.* xid (\d+):(\d+);.*; (shutdown|online)$", self.text, line)
            self.facts.append(
                ("K", lsn_text(to_lsn(redo)), str(int(epoch) << 32 | int(xid)), kind))
        elif self.what == "PARAMETER_CHANGE":
            self.facts.append(("A",) + fields_of(
                r" max_connections=(\d+) max_worker_processes=(\d+) max_wal_senders=(\d+) "
                r"max_prepared_xacts=(\d+) max_locks_per_xact=(\d+) wal_level=(\w+)",
                self.text, line))
        elif self.what == "END_OF_RECOVERY":
            timeline, previous, moment = fields_of(r" tli (\d+); prev tli (\d+); time (.*)",
                                                   self.text, line)
            _, moment, fraction = fields_of(MOMENT.pattern, moment, line)
            self.facts.append(("E", timeline, previous, str(to_time(moment, fraction))))

    def read_storage(self, wal, line):
        if self.what == "CREATE":
            self.facts.append(("F",) + to_file(self.text.strip()))
        elif self.what == "TRUNCATE":
            path, block = fields_of(r" (\S+) to (\d+) blocks flags \d+$", self.text, line)
            self.facts.append(("X", to_file(path)[0], block))

    def read_database(self, wal, line):
        if self.what.startswith("CREATE"):
            # "copy dir space/database to space/database"
            oid, = fields_of(r" (?:copy dir \S+ to|create dir) \d+/(\d+)$", self.text, line)
            self.facts.append(("D", "create", oid))
        elif self.what == "DROP":
            # "dir space/database …": one for each tablespace
            oid, = fields_of(r" dir \d+/(\d+)(?: \d+/\1)*$", self.text, line)
            self.facts.append(("D", "drop", oid))

    def read_tablespace(self, wal, line):
        if self.what == "CREATE":
            oid, path = fields_of(r' (\d+) "(.*)"$', self.text, line)
            self.facts.append(("T", "create", oid, path or "-"))
        elif self.what == "DROP":
            self.facts.append(("T", "drop", self.text.strip(), "-"))

    def read_standby(self, wal, line):
        if self.what == "LOCK":
            locks = re.findall(r"xid (\d+) db (\d+) rel (\d+)", self.text)
            if len(locks) != self.text.count("xid"):
                die("pg_waldump's line is not understood: %r" % line)
            self.facts += [("L",) + lock for lock in locks]
        elif self.what == "RUNNING_XACTS":
            next_xid, oldest = fields_of(r".*nextXid (\d+) .* oldestRunningXid (\d+)", self.text, line)
            # Up to 14 it is written "ovf".
            over = re.search(r"; subxid ov(?:f|erflowed)\b", self.text)
            self.facts.append(("U", "overflowed" if over else "complete",
                               next_xid, oldest))

    def lines(self, wal):
        lsn = lsn_text(self.start)
        yield "\t".join(("R", lsn, lsn_text(self.previous), str(wal.manager_ids[self.manager]),
                         "%02x" % self.info, str(self.xid), str(self.length)))
        for number, file, fork, block, has_image in self.blocks:
            yield "\t".join(("B", lsn, str(number), file, fork, str(block),
                             "FPW" if has_image else "-"))
        for fact in self.facts:
            yield "\t".join((fact[0], lsn) + fact[1:])


class Wal:
    """The segments' bytes, and pg_waldump's records of them."""

    def __init__(self, program, paths, unfinished):
        self.paths = paths + ([unfinished] if unfinished else [])
        self.size = os.path.getsize(paths[0])
        self.contents = {}
        for path in self.paths:
            name = os.path.basename(path)
            number = int(name[8:16], 16) * (0x100000000 // self.size) + int(name[16:], 16)
            with open(path, "rb") as file:
                self.contents[number] = file.read()
        self.numbers = sorted(self.contents)
        if self.numbers != list(range(self.numbers[0], self.numbers[0] + len(self.paths))):
            die("the segments are not consecutive")
        names = run(program, "--rmgr=list").split()
        self.manager_ids = {name: number for number, name in enumerate(names)}

        self.records = []
        process = subprocess.Popen(
            [program, self.paths[0], self.paths[-1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=dict(os.environ, TZ="UTC"), encoding="utf-8")
        for line in process.stdout:
            self.records.append(Record(self, line.rstrip("\n")))
        said = process.stderr.read()
        status = process.wait()
        self.starting_in, self.ending_in = collections.defaultdict(list), collections.defaultdict(list)
        for record in self.records:
            self.starting_in[record.start // self.size].append(record)
            self.ending_in[(record.end - 1) // self.size].append(record)
        # WAL that was not written to its end ends in what is no record.
        ends_early = unfinished and re.search(r"error in WAL record at .*: (invalid|record with)", said)
        if status != 0 and not ends_early:
            die("pg_waldump failed: " + said)
        if unfinished and self.records[-1].start // self.size != self.numbers[-1]:
            die("pg_waldump stopped before the last segment: " + said)

    def end_of(self, start, length):
        """Where the record's last byte was, and 1."""
        for position, count in self.pieces(start, length):
            end = position + count
        return end

    def pieces(self, position, length):
        while length > 0:
            count = min(length, PAGE - position % PAGE)
            yield position, count
            length -= count
            position += count
            if length > 0:
                position += LONG_HEADER if position % self.size == 0 else SHORT_HEADER

    def read(self, start, length):
        result = b""
        for position, count in self.pieces(start, length):
            offset = position % self.size
            result += self.contents[position // self.size][offset:offset + count]
        return result


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          check=False)
    if done.returncode != 0:
        die("%s: status %d: %s" % (" ".join(command)[:200], done.returncode, done.stderr[-2000:]))
    return done.stdout


# --- the records -----------------------------------------------------------------------------------

def check_names(wal):
    """The info bits were read here and not by pg_waldump: to each of its names must belong one type."""
    types = collections.defaultdict(set)
    names = collections.defaultdict(set)
    for record in wal.records:
        # XLOG_XACT_OPMASK: the highest bit says that more follows. The lower four are everyone's.
        kind = record.info & (0x70 if record.manager == "Transaction" else 0xF0)
        types[record.manager, record.what].add(kind)
        names[record.manager, kind].add(record.what)
    for found in (types, names):
        for key, values in found.items():
            if len(values) != 1:
                die("info bits and names do not fit: %r: %r" % (key, values))


def check_records(wal, program, paths):
    """Returns how many lines differ."""
    end = (wal.numbers[0] + len(paths)) * wal.size
    truth = [line for record in wal.records if record.end <= end for line in record.lines(wal)]
    found = run(program, "records", *paths).rstrip("\n").split("\n")
    # A tablespace that lies in place has no path.
    found = [line + "-" if line.startswith("T\t") and line.endswith("\t") else line for line in found]

    def lsn_of(line):
        return to_lsn(line.split("\t")[1])

    for line in found:
        if not re.match(r"[A-Z]\t[0-9A-F]+/[0-9A-F]{8}\t", line):
            print("wal_dump records: not a line of it: %r" % line[:200])
            return 1
    positions = [lsn_of(line) for line in found]
    if positions != sorted(positions):
        print("wal_dump records: not in the order of the WAL")
        return 1
    # What stands at one position may come in any order.
    return differences("records", sorted(truth, key=lambda line: (lsn_of(line), line)),
                       sorted(found, key=lambda line: (lsn_of(line), line)), lsn_of)


def differences(what, truth, found, key):
    if truth == found:
        return 0
    missing = collections.Counter(truth) - collections.Counter(found)
    extra = collections.Counter(found) - collections.Counter(truth)
    lines = [(key(line), 0, "pg_waldump: " + line) for line in missing.elements()]
    lines += [(key(line), 1, "wal_dump:   " + line) for line in extra.elements()]
    if not lines:
        lines = [(0, 0, "the same lines in another order")]
    print("%s: %d lines differ" % (what, len(lines)))
    for _, _, line in sorted(lines)[:SHOWN]:
        print("  " + line[:300])
    return len(lines)


# --- the index -------------------------------------------------------------------------------------

class Changes:
    """What blocks some records change: single ones, and forks from some block on."""

    def __init__(self):
        self.blocks, self.froms, self.databases = set(), {}, set()

    def add(self, record):
        for _, file, fork, block, _ in record.blocks:
            self.blocks.add((file, fork, block))
        for fact in record.facts:
            if fact[0] == "F":
                self.add_from(fact[1], fact[2], 0)
            elif fact[0] == "X":
                self.add_from(fact[1], "main", int(fact[2]))
            elif fact[0] == "C" and fact[5] != "-":
                for file in fact[5].split(","):
                    self.add_from(file, "main", 0)
            elif fact[0] == "D":
                self.databases.add(fact[2])

    def add_from(self, file, fork, block):
        self.froms[file, fork] = min(block, self.froms.get((file, fork), block))

    def length_of(self, file):
        return max((block + 1 for there, fork, block in self.blocks if (there, fork) == (file, "main")),
                   default=0)


def expected_index(wal, number, is_unfinished):
    """The index of one segment: name and values, in order. The changed blocks come apart, and how
    long created files were when their transaction ended."""
    end = (number + 1) * wal.size
    index = collections.defaultdict(list)
    changes, changes_open = Changes(), Changes()  # with those of a record that goes on in the next
    whole = []
    switches = sum(record.is_switch for record in wal.ending_in.get(number, []))
    for record in wal.starting_in.get(number, []):
        changes_open.add(record)
        if record.end <= end:
            changes.add(record)
            whole.append(record)

    index["complete"] = ["0" if is_unfinished else "1"]
    index["damaged"] = ["0"]
    index["ends_in_switch"] = [str(switches)]
    index["first_record"] = [lsn_text(whole[0].start if whole else 0)]
    index["last_record"] = [lsn_text(whole[-1].start if whole else 0)]
    index["next_xid"] = ["0"]

    times, commit_times, xids = [], [], []
    counts = dict.fromkeys(("commits", "aborts", "commits_prepared", "aborts_prepared"), 0)
    locks = set()
    lengths, created_by, final = {}, collections.defaultdict(list), {}
    for record in whole:
        lsn = lsn_text(record.start)
        for _, file, fork, block, _ in record.blocks:
            if fork == "main":
                lengths[file] = max(lengths.get(file, 0), block + 1)
        for letter, *fields in record.facts:
            if letter == "C":
                kind, xid, moment, subxids, files = fields
                counts[kind.split("_")[0] + "s"] += 1
                if kind.endswith("_prepared"):
                    counts[kind.replace("_", "s_")] += 1
                times.append(int(moment))
                xids.append(int(xid))
                parts = [] if subxids == "-" else [int(subxid) for subxid in subxids.split(",")]
                xids += parts
                for ended in [int(xid)] + parts:
                    final.update((file, lengths.get(file, 0)) for file in created_by.pop(ended, []))
                if kind.startswith("commit"):
                    commit_times.append(int(moment))
                    if files != "-":
                        index["dropped"].append(" ".join((lsn, xid, moment, files)))
            elif letter == "P":
                index["restore_point"].append(" ".join([lsn] + fields))
            elif letter == "D":
                index["database"].append(" ".join(fields))
            elif letter == "T":
                index["tablespace"].append(" ".join(fields))
            elif letter == "K":
                index["checkpoint"].append(lsn)
                index["next_xid"] = [fields[1]]
            elif letter == "E":
                index["end_of_recovery"].append(lsn)
            elif letter == "A":
                index["parameters"].append(lsn)
            elif letter == "U":
                index["running"].append("%s %s" % (fields[0], lsn))
            elif letter == "L":
                locks.add(tuple(int(field) for field in fields))
            elif letter == "F" and fields[1] in ("main", "init"):  # init: of an unlogged relation
                index["created"].append(" ".join((lsn, str(record.xid), fields[0])))
                created_by[record.xid].append(fields[0])
    for name, count in counts.items():
        index[name] = [str(count)]
    if times:
        index["min_time"], index["max_time"] = [str(min(times))], [str(max(times))]
    if commit_times:
        index["first_commit"], index["last_commit"] = [str(min(commit_times))], [str(max(commit_times))]
    index["min_xid"], index["max_xid"] = [str(min(xids, default=0))], [str(max(xids, default=0))]
    index["xid"] = [str(xid) for xid in sorted(set(xids))]
    index["lock"] = ["%d %d %d" % lock for lock in sorted(locks)]
    return index, changes, changes_open, final


def check_index(wal, program, path, number, is_unfinished):
    """Returns how many lines differ."""
    expected, changes, changes_open, final = expected_index(wal, number, is_unfinished)
    name = os.path.basename(path)
    found = collections.defaultdict(list)
    for line in run(program, "index", path).rstrip("\n").split("\n"):
        key, _, value = line.partition("\t")
        found[key].append(value)

    count = check_changes(name, changes, changes_open, found)

    # How long a created file had become: the open record's blocks may count.
    created = []
    for value in found["created"]:
        rest, _, length = value.rpartition(" ")
        created.append(rest)
        file = rest.split(" ")[-1]
        lengths = [final[file]] if file in final else \
            sorted({changes.length_of(file), changes_open.length_of(file)})
        if int(length) not in lengths:
            print("%s: created %s: length %s instead of %r" % (name, file, length, lengths))
            count += 1
    found["created"] = created
    found["tablespace"] = [" ".join((value.split(" ", 2) + ["", ""])[:2] + [path_or_dash(value)])
                           for value in found["tablespace"]]

    names = sorted(set(expected) | (set(found) & KNOWN))
    truth = ["%s\t%s" % (key, value) for key in names for value in expected[key]]
    other = ["%s\t%s" % (key, value) for key in names for value in found[key]]
    return count + differences(name + ": index", truth, other, lambda line: line.split("\t")[0])


# What the index of a segment says besides the changed blocks.
KNOWN = {"complete", "damaged", "ends_in_switch", "commits", "aborts", "commits_prepared",
         "aborts_prepared", "min_time", "max_time", "first_commit", "last_commit", "min_xid", "max_xid",
         "first_record", "last_record", "next_xid", "xid", "restore_point", "database", "tablespace",
         "checkpoint", "end_of_recovery", "parameters", "running", "lock", "created", "dropped"}


def path_or_dash(value):
    """Of "create|drop oid path": a tablespace that was dropped, or lies in place, has no path."""
    return (value.split(" ", 2) + [""])[2] or "-"


def check_changes(name, changes, changes_open, found):
    """Returns how many lines differ. The record that goes on in the next segment may have its changes
    listed here, or not."""
    blocks, froms = set(), {}
    for value in found["changed"]:
        file, fork, block = value.split(" ")
        blocks.add((file, fork, int(block)))
    for value in found["changed_from"]:
        file, fork, block = value.split(" ")
        froms[file, fork] = int(block)
    databases = set(found["changed_database"])

    wrong = []
    for key in sorted(set(changes.froms) | set(froms) | set(changes_open.froms)):
        allowed = {changes.froms.get(key), changes_open.froms.get(key)}
        # A file that is cut or dropped loses its other forks with the main one: they may be listed.
        if key[1] != "main" and changes_open.froms.get((key[0], "main")) is not None:
            allowed |= {0}
        if froms.get(key) not in allowed:
            wrong.append("%s: changed_from %s %s: %s instead of %s" % (
                (name,) + key + (froms.get(key), sorted(map(str, allowed)))))
    # A block from which on everything has changed needs no line of its own.
    needed = {(file, fork, block) for file, fork, block in changes.blocks
              if block < froms.get((file, fork), block + 1)}
    for block in sorted(needed - blocks):
        wrong.append("%s: changed %s %s %d is missing" % ((name,) + block))
    for block in sorted(blocks - changes_open.blocks):
        wrong.append("%s: changed %s %s %d is too many" % ((name,) + block))
    for database in sorted(changes.databases - databases):
        wrong.append("%s: changed_database %s is missing" % (name, database))
    for database in sorted(databases - changes_open.databases):
        wrong.append("%s: changed_database %s is too many" % (name, database))
    for line in wrong[:SHOWN]:
        print(line)
    return len(wrong)


# --- what there was --------------------------------------------------------------------------------

def census(wal):
    """How much there is of what the comparison is worth something for."""
    count = collections.Counter()
    for record in wal.records:
        count["records"] += 1
        count["blocks"] += len(record.blocks)
        count["images"] += sum(block[4] for block in record.blocks)
        for block in record.blocks:
            count["blocks_" + block[2]] += 1
        count["manager_" + record.manager] += 1
        if record.what == "OVERWRITE_CONTRECORD":
            count["overwrites"] += 1
        if record.length > wal.size:
            count["longer_than_segment"] += 1
        straddles = record.start // wal.size != (record.end - 1) // wal.size
        count["straddling"] += straddles
        count["straddling_header"] += wal.size - record.start % wal.size < 24
        count["switches"] += record.is_switch
        count["straddling_switch"] += record.is_switch and straddles
        count["longest"] = max(count["longest"], record.length)
        for letter, *fields in record.facts:
            if letter == "C":
                count[fields[0]] += 1
                count["straddling_" + fields[0]] += straddles
                if fields[3] != "-":
                    count["subxids"] += fields[3].count(",") + 1
                    count["most_subxids"] = max(count["most_subxids"], fields[3].count(",") + 1)
                count["dropped_files"] += 0 if fields[4] == "-" else fields[4].count(",") + 1
                if fields[0].startswith("abort") and fields[4] != "-":
                    count["aborts_with_files"] += 1
            elif letter == "P":
                count["restore_points"] += 1
                count["straddling_restore_point"] += straddles
            elif letter == "K":
                count["checkpoint_" + fields[2]] += 1
                if int(fields[1]) >> 32 and record.start >> 32 != wal.numbers[0] * wal.size >> 32:
                    count["longer_than_32_bits"] += 1
            elif letter == "D":
                count["database_" + fields[0]] += 1
            elif letter == "T":
                count["tablespace_" + fields[0]] += 1
            elif letter == "F":
                count["created_" + fields[1]] += 1
            elif letter == "U":
                count["running_" + fields[0]] += 1
            elif letter == "A":
                count["parameters_" + fields[5]] += 1
            else:
                count[{"X": "truncations", "L": "locks", "E": "recoveries"}[letter]] += 1
    return count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pg-waldump", required=True)
    parser.add_argument("--wal-dump", required=True)
    parser.add_argument("--unfinished")
    parser.add_argument("--expect", default="")
    parser.add_argument("segments", nargs="+")
    options = parser.parse_args()

    wal = Wal(options.pg_waldump, options.segments, options.unfinished)
    check_names(wal)
    count = census(wal)
    print("%d segments: %s" % (len(wal.paths), ", ".join(
        "%s %d" % (name, number) for name, number in sorted(count.items()) if number)))
    for name in filter(None, options.expect.split(",")):
        if not count[name]:
            die("the workload has made none of: " + name)

    wrong = check_records(wal, options.wal_dump, options.segments)
    for number, path in zip(wal.numbers, wal.paths):
        wrong += check_index(wal, options.wal_dump, path, number, path == options.unfinished)
    if wrong:
        die("%d lines differ" % wrong)


if __name__ == "__main__":
    main()
