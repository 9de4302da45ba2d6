"""The demo's stages, in order. Each takes the Story, says what happened, checks it, and returns its evidence."""
import datetime
import json
import shutil
import subprocess
import threading
import time
import urllib.request

FIRST_DAY, TRAIN_END = "2001-01-01", "2001-03-01"
LABEL, KNOWN_AT = "delay > 15", "date + to_minutes(45 + distance // 7)"
KM_PER_MILE = 1.609344


def day_after(day, n=1):
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=n)).isoformat()


# ---- the days ---------------------------------------------------------------------------------------------------

def deliver(s, day, kinds=("flights", "board")):
    """The feeds lay down their file of the day."""
    for kind in kinds:
        shutil.copyfile(s.feed / kind / (day + ".parquet"), s.dir / "data" / kind / (day + ".parquet"))


def replay(s, path, until):
    out = s.pawl("replay", path, "--endpoint", "delay", "--time", "date", "--speed", "max", "--tick", "6h", "--label", LABEL,
                 "--known-at", KNOWN_AT, "--until", until + "T00:00:00Z")
    c = s.report["counts"]
    c["requests_sent"] += out["sent"]
    c["answers_received"] += out["answered"]
    s.need(out["sent"] == out["answered"] and out["failed"] == 0, "replay of %s: %s" % (path.name, json.dumps(out)))


def play(s, until, feeds=("flights", "board"), stop=None, requests="requests"):
    """Plays days up to `until` (not included): each day's files first, then its flights as live requests. True when
    `stop` said so after a day."""
    while s.day < until:
        deliver(s, s.day, feeds)
        replay(s, s.feed / requests / (s.day + ".parquet"), day_after(s.day))
        s.day = day_after(s.day)
        watch(s)
        if stop and stop():
            return True
    return False


def watch(s):
    """Tells of each release whose state changed and each new alert, as somebody at the terminal would see them."""
    for r in reversed(s.pawl("releases", "ls")["releases"]):
        if s.seen.get(r["release"]) != r["state"]:
            s.seen[r["release"]] = r["state"]
            s.say("%s  %s (%s) is %s: %s" % (s.day, r["release"], r["kind"], r["state"].replace("_", " "), r["reason"]))
    for a in reversed(s.pawl("alerts", "ls", "--limit", "200")["alerts"]):
        key = "alert %d" % a["id"]
        if s.seen.get(key) != a["state"]:
            s.seen[key] = a["state"]
            s.say("%s  %s %s (%s, owner %s): %s" % (s.day, a["severity"], a["state"], a["rule"], a.get("owner"), a["summary"]))


def endpoint(s):
    return s.pawl("endpoints", "show", "delay")


def live(s):
    return endpoint(s)["live"]


def rollout_of(s, release):
    return next((r for r in s.pawl("rollouts", "ls")["rollouts"] if r["candidate"] == release), None)


def is_over(s, release):
    r = rollout_of(s, release)
    return r is not None and r["state"] in ("done", "rolled_back", "aborted")


def until_over(s, release, days=14, feeds=("flights", "board")):
    s.need(play(s, day_after(s.day, days), feeds, lambda: is_over(s, release)), "the rollout of %s did not end in %d days" %
           (release, days))
    return rollout_of(s, release)


def until_lap(s, kind, days):
    """Plays on until a release that a trigger started, of this kind, is live."""
    def found():
        return any(r["kind"] == kind and r["state"] == "live" and r["author"].startswith("pawl:") for r in
                   s.pawl("releases", "ls")["releases"])
    s.need(play(s, day_after(s.day, days), stop=found), "no triggered %s release went live in %d days" % (kind, days))
    return live(s)


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


def view(name, columns, source, where="", ttl="6h"):
    return """  %s:
    entity: [airport]
    time: hour
    ttl: %s
    on_stale: default
    owner: ml@example.com
    sql: |
      SELECT %s FROM %s%s
  request:""" % (name, ttl, columns, source, where)


DEPARTURES = ("origin AS airport, date_trunc('hour', known_at) + INTERVAL 1 HOUR AS hour, avg(delay) AS out_delay_1h, "
              "avg((delay > 15)::INT) AS out_late_1h, count(*) AS out_flights_1h")
LOOK_UP = "{ view: %s, key: { airport: origin } }, request.*, origin]"
HUB = "('ORD')"


def predict_one(s):
    def one(name, datatype, value):
        return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
    body = {"inputs": [one("date", "BYTES", s.day + "T00:00:00Z"), one("origin", "BYTES", "ORD"),
                       one("destination", "BYTES", "LAX"), one("distance", "INT64", 1745)]}
    url = "http://127.0.0.1:%d/v2/models/delay/infer" % s.port
    req = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(req, timeout=10) as r:
        s.report["counts"]["requests_sent"] += 1
        s.report["counts"]["answers_received"] += 1
        return json.load(r)["outputs"]


# ---- the loop turns ---------------------------------------------------------------------------------------------

def set_up(s):
    for kind in ("flights", "board"):
        (s.dir / "data" / kind).mkdir(parents=True)
    for name in ("pawl.yaml", "cases.yaml"):
        shutil.copyfile(s.source / "examples" / "flights" / name, s.dir / name)
    shutil.copyfile(s.source / ".deps" / "data" / "airports.csv", s.dir / "data" / "airports.csv")
    subprocess.run([str(s.build / "demo-feed"), str(s.source / ".deps" / "data" / "flights-3m.parquet"), str(s.feed),
                    FIRST_DAY, day_after(s.args.until), s.args.share], check=True)
    day = FIRST_DAY
    while day < TRAIN_END:
        deliver(s, day)
        day = day_after(day)
    s.pawl("init", "--replay")
    s.seen = {}
    s.report["sampled"] = {"training_rows": "20 % of the flights, by row hash (dataset.sample); the views see every flight",
                           "rounds": 60, "requests": "%g %% of the flights, by hash" % (100 * float(s.args.share)),
                           "days": "%s to %s" % (TRAIN_END, s.args.until)}
    s.say("January and February are there as the feed laid them down: %d files" % len(list((s.dir / "data/flights").iterdir())))
    return s.report["sampled"]


def first_run(s):
    s.pawl("check")
    run = s.pawl("run", "--as-of", TRAIN_END + "T00:00:00Z")
    again = s.pawl("run", "--as-of", TRAIN_END + "T00:00:00Z")
    s.need(again["outcome"] == "unchanged", "a second run did something: %s" % again["outcome"])
    s.say("checked, trained, evaluated, registered as flights/%s; the same run again does nothing" % run["model"]["version"])
    return {"run": run["run"], "counts": run["counts"], "again": again["outcome"], "splits": run.get("splits")}


def deploy_first(s):
    s.start_server()
    out = s.pawl("deploy", "flights", "--endpoint", "delay", "--reason", "the first release")
    s.first = out["release"]
    watch(s)
    return {"deploy": out, "gates": s.pawl("releases", "show", s.first).get("gates")}


def first_lap(s):
    release = until_lap(s, "retrain", 14)
    roll = rollout_of(s, release)
    s.say("new data started a retraining; %s passed its gates, shadow and canary, and took over by itself" % release)
    return {"release": release, "rollout": {k: roll[k] for k in ("state", "reason", "started")}}


# ---- what must not get through ----------------------------------------------------------------------------------

def refused_by_gates(s):
    """A new view, but the largest hub blanked while debugging: better overall, worse there."""
    where = " WHERE destination NOT IN " + HUB
    before = edit(s, ("FROM flights GROUP BY ALL", "FROM flights%s GROUP BY ALL" % where),
                  ("  request:", view("departures", DEPARTURES, "flights",
                                      " WHERE origin NOT IN %s GROUP BY ALL" % HUB)),
                  *[("%s: %s" % f, "%s: \"if(origin in %s, 0, %s)\"" % (f[0], HUB, f[1])) for f in
                    (("hour", "hour(date)"), ("weekday", "dayofweek(date)"), ("log_distance", "ln(distance + 1)"))],
                  ("request.*, origin]", LOOK_UP % "departures"))
    answer = predict_one(s)
    run = s.pawl("run", "--as-of", s.day + "T00:00:00Z")
    out = s.pawl("deploy", "flights/%s" % run["model"]["version"], "--endpoint", "delay", "--reason", "departures as a feature",
                 expect=1)
    s.need(predict_one(s) == answer, "editing pawl.yaml changed an answer")
    restore(s, before)
    failed = [g for g in out["gates"]["rules"] if g["verdict"] == "fail"]
    overall = next(g for g in out["gates"]["rules"] if "no worse" in g["text"])
    s.need(failed and all("origin" in g["text"] for g in failed), "not refused for its airports: %s" % json.dumps(failed)[:800])
    s.say("%s is refused: overall %s; but %s" % (out["release"], overall["why"], failed[0]["why"]))
    watch(s)
    return {"gates": out["gates"]}


def refused_as_leak(s):
    mood = "origin AS airport, date_trunc('hour', date) AS hour, avg(delay) AS mood"
    before = edit(s, ("  request:", view("mood", mood, "flights", " GROUP BY ALL")), ("request.*, origin]", LOOK_UP % "mood"))
    out = s.pawl("check", expect=(1, 2))
    restore(s, before)
    texts = [p["message"] for p in out["problems"] if "mood" in p["message"]]
    s.need(texts, "the check does not name view and column: %s" % json.dumps(out)[:800])
    s.say("refused: %s" % texts[0])
    return {"problems": out["problems"]}


def threshold(s):
    """A moved threshold is a release like any other."""
    out = s.pawl("releases", "create", "--from", "live", "--threshold", "0.3", "--reason", "fewer false alarms for the crews")
    release = out["release"]
    if rollout_of(s, release) is None:
        s.pawl("deploy", release, "--endpoint", "delay", "--reason", "the threshold that operations asked for")
    roll = until_over(s, release)
    s.need(roll["state"] == "done", "the threshold's rollout is %s: %s" % (roll["state"], roll["reason"]))
    s.say("%s, the same model with threshold 0.3, went the same gated way" % release)
    return {"release": release, "rollout": roll["reason"]}


def feature_edit(s):
    """The departures of an airport, this time of every airport: pushed, then taken up by the next trigger."""
    edit(s, ("  request:", view("departures", DEPARTURES, "flights", " GROUP BY ALL")),
         ("request.*, origin]", LOOK_UP % "departures"))
    answer = predict_one(s)
    pushed = s.pawl("push", "--message", "departures as a feature")
    s.need(predict_one(s) == answer, "pushing changed an answer")
    s.say("%s  pushed revision %s; nothing that serves changed" % (s.day, pushed["revision"][:12]))
    release = until_lap(s, "features", 16)
    s.say("the next trigger retrained with it; %s took over" % release)
    return {"revision": pushed["revision"], "release": release}


def bad_in_life(s):
    """A candidate on another vendor's board passes every gate; in life the vendor changes minutes to seconds."""
    before = edit(s, ("  airports: {", "  board: { path: data/board/*.parquet, time: hour, owner: vendor@example.com }\n"
                                       "  airports: {"),
                  ("  request:", view("ground", "airport, hour, hold_minutes, movements", "board")),
                  (LOOK_UP % "departures", LOOK_UP % "ground"))
    run = s.pawl("run", "--as-of", s.day + "T00:00:00Z")
    out = s.pawl("deploy", "flights/%s" % run["model"]["version"], "--endpoint", "delay", "--reason", "the vendor's board")
    restore(s, before)
    release, incumbent = out["release"], live(s)
    s.need(play(s, day_after(s.day, 8), stop=lambda: (rollout_of(s, release) or {}).get("state") == "canary"),
           "the candidate did not reach its canary")
    s.say("%s  %s answers its canary's share; from now on the board comes in seconds" % (s.day, release))
    board_in_seconds(s)
    roll = until_over(s, release, 10)
    s.need(roll["state"] == "rolled_back", "it was not rolled back: %s %s" % (roll["state"], roll["reason"]))
    s.need(live(s) == incumbent, "%s is live, not %s" % (live(s), incumbent))
    ticks = s.pawl("rollouts", "show", roll["id"])["ticks"]
    failing = [t for t in ticks if t["verdict"] == "fail"]
    s.need(failing and failing[0] is ticks[-1], "the rollback was not at the first failing look")
    s.say("rolled back by the canary at its first look that crossed the bound: %s" % roll["reason"])
    if endpoint(s).get("hold"):
        s.pawl("resume", "delay", "--reason", "the vendor's board is not used")
    return {"release": release, "reason": roll["reason"], "tick": failing[0]}


def board_in_seconds(s):
    """What the vendor delivers from today on."""
    for path in sorted((s.feed / "board").iterdir()):
        if path.stem >= s.day:
            s.transform(path, "SELECT * REPLACE (hold_minutes * 60 AS hold_minutes) FROM read_parquet(?)")


# ---- the broken upstream ----------------------------------------------------------------------------------------

def open_pages(s, object_):
    return [a for a in s.pawl("alerts", "ls", "--limit", "200")["alerts"]
            if a["object"] == object_ and a["severity"] == "page" and a["state"] != "resolved"]


def kilometres(s):
    """A day on which distance arrives in kilometres, in the feed and in the requests."""
    bad = s.day
    for kind in ("flights", "requests"):
        good = s.feed / kind / (bad + ".parquet")
        shutil.copyfile(good, s.dir / (kind + "-good.parquet"))
        s.transform(good, "SELECT * REPLACE (CAST(round(distance * %g) AS BIGINT) AS distance) FROM read_parquet(?)" % KM_PER_MILE)
    play(s, day_after(bad))
    pages = open_pages(s, "source:flights")
    s.need(pages, "no page about the source")
    page = pages[0]
    s.need(page.get("owner") and page.get("runbook"), "the page lacks owner or runbook")
    box = next(b for b in s.pawl("status")["boxes"] if b["box"] == "Validate")
    s.need(box["state"] not in ("ok", "idle"), "status does not show Validate broken: %s" % json.dumps(box))
    s.say("status: %s %s; owner %s, runbook %s" % (box["box"], box["state"], box.get("owner"), box.get("runbook")))
    s.pawl("hold", "delay", "--reason", "distance came in kilometres")
    for kind in ("flights", "requests"):
        shutil.copyfile(s.dir / (kind + "-good.parquet"), s.feed / kind / (bad + ".parquet"))
    deliver(s, bad)
    play(s, day_after(bad, 2))
    s.need(not open_pages(s, "source:flights"), "the page is still open after the repair")
    s.pawl("resume", "delay", "--reason", "the feed delivers miles again")
    s.say("held, repaired, resumed; predictions went on all the time")
    return {"page": page, "status": box}


def feed_stops(s):
    """The feed lays down nothing for two days."""
    stopped = s.day
    play(s, day_after(stopped, 2), feeds=())
    pages = open_pages(s, "source:flights")
    s.need(pages, "no page about the feed that stopped")
    box = next(b for b in s.pawl("status")["boxes"] if b["box"] == "Ingest")
    s.need(box["state"] not in ("ok", "idle"), "status does not show Ingest broken: %s" % json.dumps(box))
    s.pawl("hold", "delay", "--reason", "the feed stopped")
    for n in range(2):
        deliver(s, day_after(stopped, n))
    play(s, day_after(s.day))
    s.need(not open_pages(s, "source:flights"), "the page is still open after the repair")
    s.pawl("resume", "delay", "--reason", "the feed is back")
    return {"page": pages[0], "status": box}


# ---- the bad day ------------------------------------------------------------------------------------------------

def rollback(s):
    """One command, under load, within a second, without losing a request."""
    results, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                results.append(bool(predict_one(s)))
            except OSError as e:
                results.append(repr(e))
    threads = [threading.Thread(target=load) for _ in range(2)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    before, started = live(s), time.monotonic()
    out = s.pawl("rollback", "delay", "--reason", "the business says so")
    seconds = time.monotonic() - started
    after = live(s)
    time.sleep(0.3)
    stop.set()
    for t in threads:
        t.join()
    bad = [r for r in results if r is not True]
    s.need(not bad, "lost under the rollback: %s" % bad[:3])
    s.need(seconds < 1 and after != before, "%s -> %s in %.2f s" % (before, after, seconds))
    s.say("%s -> %s in %.2f s with %d requests under way, none lost" % (before, after, seconds, len(results)))
    watch(s)
    return {"from": before, "to": after, "seconds": round(seconds, 3), "requests": len(results), "answer": out}


def summary(s):
    status = s.pawl("status")
    audit = s.pawl("audit", "verify")
    s.need(audit["holds"], "the audit does not hold: %s" % json.dumps(audit))
    cost = s.pawl("endpoints", "counterfactual", "delay", "--release", s.first, "--from", TRAIN_END + "T00:00:00Z", "--to",
                  s.day + "T00:00:00Z")
    counts = s.report["counts"]
    counts["predictions_logged"] = s.pawl("predictions", "count", "delay")["count"]
    s.need(counts["requests_sent"] == counts["answers_received"] == counts["predictions_logged"],
           "counts differ: %s" % json.dumps(counts))
    counts["labels_joined"] = cost["labelled"]
    s.report["releases"] = [{"id": r["release"], "kind": r["kind"], "state": r["state"], "reason": r["reason"]}
                            for r in reversed(s.pawl("releases", "ls")["releases"])]
    s.report["laps"] = [{"trigger": l["trigger"], "evidence": l["why"], "run": l.get("run"), "release": l.get("release"),
                         "rollout": l.get("rollout")} for l in reversed(s.pawl("laps", "ls")["laps"])]
    s.need(len(s.report["laps"]) >= 2, "fewer than two laps by trigger")
    a, b = cost["answered"], cost["other"]
    s.say("audit: %d entries hold, head %s" % (audit["n_entries"], audit["head"][:24]))
    s.say("%d requests sent, answered and logged; %d labels" % (counts["requests_sent"], counts["labels_joined"]))
    for lap in s.report["laps"]:
        s.say("lap by %-9s %s -> %s" % (lap["trigger"], lap["evidence"], lap["release"]))
    s.say("what was answered: ROC AUC %.4f, log loss %.4f; the frozen first model: %.4f, %.4f" %
          (a["roc_auc"], a["log_loss"], b["roc_auc"], b["log_loss"]))
    return {"status": status, "audit": audit, "frozen_first_model": cost}


STAGES = [
    ("1  A feed of flights, a project, a home with a replay clock", set_up),
    ("2  From raw data to a registered model", first_run),
    ("3  The first release goes live after its gates", deploy_first),
    ("4  Live traffic, late labels, and the first lap by itself", first_lap),
    ("5  A candidate that is better overall and worse for some airports", refused_by_gates),
    ("6  A feature that knows the future", refused_as_leak),
    ("7  A threshold goes the gated way", threshold),
    ("8  A feature edit goes the gated way", feature_edit),
    ("9  A release that misbehaves only in life", bad_in_life),
    ("10 A day in kilometres", kilometres),
    ("11 A day on which the feed stops", feed_stops),
    ("12 Rollback under load", rollback),
    ("13 What happened", summary),
]
