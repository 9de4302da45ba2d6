#!/usr/bin/env python3
"""Prints "PASSED FAILED" of the last `meson test` in a build folder, counting the cases inside each test (TAP)."""
import json
import pathlib
import re
import sys

passed = failed = 0
for line in (pathlib.Path(sys.argv[1]) / "meson-logs" / "testlog.json").read_text().splitlines():
    test = json.loads(line)
    ok = len(re.findall(r"^ok \d", test.get("stdout", ""), re.M))
    bad = len(re.findall(r"^not ok \d", test.get("stdout", ""), re.M))
    if test["result"] in ("OK", "EXPECTEDFAIL"):
        passed += max(ok, 1)
    elif test["result"] != "SKIP":
        passed += ok
        failed += max(bad, 1)
print(passed, failed)
