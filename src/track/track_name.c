/* Names for runs that nobody named: easy to say, hard to mistake for one another. */
#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"
#include "track/track_int.h"

static const char *const ADJECTIVES[] = {
    "able",   "amber",  "brave",   "brisk", "calm",  "clear",  "clever", "copper",
    "crisp",  "deft",   "eager",   "early", "fair",  "fleet",  "gentle", "glad",
    "golden", "hardy",  "honest",  "keen",  "kind",  "lively", "lucid",  "merry",
    "mild",   "nimble", "patient", "plain", "quick", "quiet",  "ready",  "sage",
    "silver", "sound",  "steady",  "stout", "sunny", "swift",  "tidy",   "true",
    "upbeat", "vivid",  "warm",    "wise",  "witty", "young",  "zesty",  "bold"};
static const char *const NOUNS[] = {
    "badger", "beaver", "bison",  "cedar",  "crane",  "delta",   "eagle",  "ember",
    "falcon", "fern",   "finch",  "fox",    "gale",   "grove",   "harbor", "hare",
    "heron",  "holly",  "ibex",   "island", "jay",    "kestrel", "lark",   "lynx",
    "maple",  "marten", "meadow", "mole",   "newt",   "oak",     "otter",  "owl",
    "pine",   "plover", "quail",  "raven",  "reef",   "river",   "robin",  "seal",
    "shore",  "stork",  "swan",   "teal",   "thrush", "tern",    "willow", "wren"};

void run_name_make(char out[64])
{
    uint32_t r[3];
    random_bytes(r, sizeof(r));
    snprintf(out, 64, "%s-%s-%u", ADJECTIVES[r[0] % ARRAY_LEN(ADJECTIVES)],
             NOUNS[r[1] % ARRAY_LEN(NOUNS)], r[2] % 1000);
}
