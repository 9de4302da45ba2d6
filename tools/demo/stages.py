"""The demo's stages, in order. Each takes the Story, says what happened, checks it, and returns its evidence."""
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import urllib.request

from story import Failed

FIRST_DAY, TRAIN_END = "2001-01-01", "2001-03-01"
LABEL, KNOWN_AT = "delay > 15", "date + to_minutes(45 + distance // 7)"


def day_after(day, n=1):
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=n)).isoformat()


# ---- the days ---------------------------------------------------------------------------------------------------

def deliver(s, day, kinds=("flights", "board")):
    """The feeds lay down their file of the day."""
    for kind in kinds:
        shutil.copyfile(s.feed / kind / (day + ".parquet"), s.dir / "data" / kind / (day + ".parquet"))


def replay_file(s, path, until):
    out = s.pawl("replay", path, "--endpoint", "delay", "--time", "date", "--speed", "max", "--label", LABEL,
                 "--known-at", KNOWN_AT, "--until", until + "T00:00:00Z")
    c = s.report["counts"]
    c["requests_sent"] += out["sent"]
    c["answers_received"] += out["answered"]
    s.need(out["sent"] == out["answered"] and out["failed"] == 0, "replay of %s: %s" % (path.name, json.dumps(out)))
    return out


def play(s, until, feeds=("flights", "board"), each_day=None):
    """Plays days up to `until` (not included): the feed's file first, then the day's flights as live requests."""
    while s.day < until:
        deliver(s, s.day, feeds)
        replay_file(s, s.feed / "requests" / (s.day + ".parquet"), day_after(s.day))
        s.day = day_after(s.day)
        watch(s)
        if each_day and each_day():
            return True
    return False


def watch(s):
    """Tells of every release whose state changed, as somebody at the terminal would see it."""
    for r in reversed(s.pawl("releases", "ls")["releases"]):
        seen = s.seen.get(r["release"])
        if seen != r["state"]:
            s.seen[r["release"]] = r["state"]
            s.say("%s  %s (%s) is %s%s" % (s.day, r["release"], r["kind"], r["state"].replace("_", " "),
                                           ": " + r["reason"] if r.get("reason") else ""))


def until_settled(s, limit_days=14, feeds=("flights", "board")):
    """Plays on until no rollout is under way."""
    def settled():
        return s.pawl("endpoints", "show", "delay").get("rollout") is None
    if not settled():
        s.need(play(s, day_after(s.day, limit_days), feeds, settled), "the rollout did not end in %d days" % limit_days)


# ---- the project ------------------------------------------------------------------------------------------------

def edit(s, *changes):
    """Edits build/demo/pawl.yaml in the open; gives the text as it was."""
    path = s.dir / "pawl.yaml"
    before = text = path.read_text()
    for old, new in changes:
        s.need(text.count(old) == 1, "pawl.yaml has %d places that read %r" % (text.count(old), old))
        text = text.replace(old, new)
    path.write_text(text)
    return before


def restore(s, text):
    (s.dir / "pawl.yaml").write_text(text)


DEPARTURES = """  departures:                              # how the last hours' departures of an airport fared
    entity: [airport]
    time: hour
    ttl: 6h
    owner: ml@example.com
    sql: |
      SELECT origin AS airport, date_trunc('hour', known_at) + INTERVAL 1 HOUR AS hour,
             avg(delay) AS out_delay_1h, avg((delay > 15)::INT) AS out_late_1h, count(*) AS out_flights_1h
      FROM flights GROUP BY ALL
  request:"""


def set_up(s):
    for kind in ("flights", "board"):
        (s.dir / "data" / kind).mkdir(parents=True)
    for name in ("pawl.yaml", "cases.yaml"):
        shutil.copyfile(s.source / "examples" / "flights" / name, s.dir / name)
    shutil.copyfile(s.source / ".deps" / "data" / "airports.csv", s.dir / "data" / "airports.csv")
    subprocess.run([str(s.build / "demo-feed"), str(s.source / ".deps" / "data" / "flights-3m.parquet"), str(s.feed),
                    FIRST_DAY, day_after(s.args.until, 2), s.args.share], check=True)
    day = FIRST_DAY
    while day < TRAIN_END:
        deliver(s, day)
        day = day_after(day)
    s.pawl("init", "--replay")
    s.seen = {}
    s.report["sampled"] = {"training_rows": "20 % of the flights, by row hash (dataset.sample); views see all",
                           "rounds": 60, "requests": "%g %% of the flights, by hash" % (100 * float(s.args.share)),
                           "days": "2001-03-01 to %s" % s.args.until}
    s.say("January and February laid down as a feed would have: %d files of a day" %
          len(list((s.dir / "data" / "flights").iterdir())))
    return s.report["sampled"]


def first_run(s):
    check = s.pawl("check")
    run = s.pawl("run", "--as-of", TRAIN_END + "T00:00:00Z")
    again = s.pawl("run", "--as-of", TRAIN_END + "T00:00:00Z")
    s.need(again["outcome"] == "unchanged", "a second run did something: %s" % again["outcome"])
    s.say("checked, trained, evaluated, registered: run %s" % run["run"])
    return {"run": run, "again": again["outcome"], "problems": check.get("problems", [])}


def deploy_first(s):
    s.start_server()
    out = s.pawl("deploy", "flights", "--endpoint", "delay", "--reason", "first release")
    s.say("%s is live behind endpoint delay" % out["release"])
    watch(s)
    return out


def first_weeks(s):
    play(s, "2001-03-05")
    return {"status": s.pawl("status")}


STAGES = [
    ("1  A feed of flights, a project, a home with a replay clock", set_up),
    ("2  From raw data to a registered model", first_run),
    ("3  The first release goes live after its gates", deploy_first),
    ("4  Live traffic, late labels", first_weeks),
]
