#!/usr/bin/env python3
"""The demo: the real program turns the whole loop on real flights, and what goes wrong in life goes wrong.

Called by `make demo`. Everything it knows of Pawl it knows from the command line, as a user does. It issues one run and
one deploy for the first release; every later lap is started by the declared rules. Writes build/demo/report.json and
leaves the home in build/demo/.pawl."""
import argparse
import sys

from story import Story
from stages import STAGES


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", default="build", help="build folder with the executable")
    ap.add_argument("--source", default=".", help="the project's source folder")
    ap.add_argument("--until", default="2001-04-15", help="last day of the replay")
    ap.add_argument("--share", default="0.2", help="share of the flights that are replayed as requests")
    story = Story(ap.parse_args())
    try:
        for name, stage in STAGES:
            story.stage(name, stage)
            if not story.is_ok():
                break
    finally:
        story.close()
    return story.finish()


if __name__ == "__main__":
    sys.exit(main())
