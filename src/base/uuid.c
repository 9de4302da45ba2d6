#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/check.h"
#include "base/hash.h"

void random_bytes(void *p, size_t n)
{
    unsigned char *b = p;
    while (n > 0) {
        ssize_t got = getrandom(b, n, 0);
        CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0) {
            b += got;
            n -= (size_t)got;
        }
    }
}

/* RFC 9562 section 5.7, with method 3 of section 6.2: the 12 bits behind the millisecond are its fraction. */
void uuid7(int64_t at_us, uint8_t ret[16])
{
    uint64_t us = at_us < 0 ? 0 : (uint64_t)at_us, ms = us / 1000;
    unsigned fraction = (unsigned)(us % 1000 * 4096 / 1000);
    random_bytes(ret, 16);
    for (int i = 0; i < 6; i++)
        ret[i] = (uint8_t)(ms >> (40 - 8 * i));
    ret[6] = (uint8_t)(0x70 | (fraction >> 8));
    ret[7] = (uint8_t)fraction;
    ret[8] = (uint8_t)(0x80 | (ret[8] & 0x3f));
}

void uuid_text(const uint8_t id[16], char out[37])
{
    char hex[33];
    hex_encode(id, 16, hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

enum err_code uuid_parse(struct str s, uint8_t ret[16], struct err *err)
{
    uint8_t id[16] = {0};
    unsigned n = 0;
    bool is_good = s.n == 36;
    for (size_t i = 0; is_good && i < s.n; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            is_good = s.p[i] == '-';
            continue;
        }
        int v = hex_value(s.p[i]);
        is_good = v >= 0;
        id[n / 2] = (uint8_t)((unsigned)id[n / 2] << 4 | ((unsigned)v & 15));
        n++;
    }
    if (!is_good)
        return err_set(err, ERR_PARSE, "\"%.*s\" is not a UUID", (int)(s.n < 60 ? s.n : 60),
                       s.n ? s.p : "");
    memcpy(ret, id, 16);
    return ERR_OK;
}
