/* Root of a decreasing log tail function; shared by the quantiles of this folder. */
#ifndef PAWL_STATS_SOLVE_INT_H
#define PAWL_STATS_SOLVE_INT_H

/* x >= 0 with log_sf(x) = log_q; log_sf decreasing; `guess` > 0 is a first upper end. */
double solve_log_sf(double (*log_sf)(double x, const void *arg), const void *arg, double log_q,
                    double guess);

#endif
