// The shortest text of a number and back, from the C++ library: C has neither. Nothing else is C++.
#include <charconv>
#include <cstddef>
#include <system_error>

extern "C" {
size_t num_text_f64(char *out, size_t cap, double v);
size_t num_text_f32(char *out, size_t cap, float v);
int num_text_read(const char *p, size_t n, double *ret);
}

size_t num_text_f64(char *out, size_t cap, double v)
{
    auto r = std::to_chars(out, out + cap, v);
    return r.ec == std::errc() ? static_cast<size_t>(r.ptr - out) : 0;
}

size_t num_text_f32(char *out, size_t cap, float v)
{
    auto r = std::to_chars(out, out + cap, v);
    return r.ec == std::errc() ? static_cast<size_t>(r.ptr - out) : 0;
}

// 0 read, 1 not a number, 2 out of range.
int num_text_read(const char *p, size_t n, double *ret)
{
    double v = 0;
    auto r = std::from_chars(p, p + n, v);
    if (r.ec == std::errc::result_out_of_range && r.ptr == p + n)
        return 2;
    if (r.ec != std::errc() || r.ptr != p + n)
        return 1;
    *ret = v;
    return 0;
}
