#ifndef RATEL_CZLIB_H
#define RATEL_CZLIB_H
#include <zlib.h>

// A macro that Swift cannot say. 16 + 15: a member of GZIP, with the largest window.
static inline int ratel_zlib_begin(z_stream *stream) { return inflateInit2(stream, 16 + 15); }
#endif
