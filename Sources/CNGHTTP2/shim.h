#ifndef RATEL_CNGHTTP2_H
#define RATEL_CNGHTTP2_H
#include <nghttp2/nghttp2.h>
#endif
