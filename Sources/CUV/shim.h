#ifndef RATEL_CUV_H
#define RATEL_CUV_H
#include <uv.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>
#endif
