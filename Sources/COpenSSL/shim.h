// OpenSSL's headers, and one inline function for each of its macros that Ratel uses: Swift sees
// functions, not macros.
#ifndef RATEL_COPENSSL_H
#define RATEL_COPENSSL_H
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/objects.h>
#include <openssl/ocsp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

// SHA-256 without the providers' calls, which cost as much as the hash of a token does. OpenSSL
// calls these functions old, and has them with the same code underneath.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
typedef struct {
    SHA256_CTX state;
} ratel_sha256;
static inline void ratel_sha256_begin(ratel_sha256 *s) { SHA256_Init(&s->state); }
static inline void ratel_sha256_add(ratel_sha256 *s, const void *bytes, size_t count) {
    SHA256_Update(&s->state, bytes, count);
}
static inline void ratel_sha256_end(ratel_sha256 *s, unsigned char *digest) {
    SHA256_Final(digest, &s->state);
}
#pragma GCC diagnostic pop

static inline int ratel_SSL_CTX_set_min_proto_version(SSL_CTX *c, int v) {
    return (int)SSL_CTX_set_min_proto_version(c, v);
}
static inline int ratel_SSL_CTX_set_max_proto_version(SSL_CTX *c, int v) {
    return (int)SSL_CTX_set_max_proto_version(c, v);
}
static inline int ratel_SSL_CTX_set1_groups_list(SSL_CTX *c, const char *s) {
    return (int)SSL_CTX_set1_groups_list(c, s);
}
static inline int ratel_SSL_CTX_set1_sigalgs_list(SSL_CTX *c, const char *s) {
    return (int)SSL_CTX_set1_sigalgs_list(c, s);
}
static inline int ratel_SSL_CTX_add1_chain_cert(SSL_CTX *c, X509 *x) {
    return (int)SSL_CTX_add1_chain_cert(c, x);
}
static inline long ratel_SSL_CTX_set_mode(SSL_CTX *c, long m) { return SSL_CTX_set_mode(c, m); }
static inline long ratel_SSL_CTX_set_session_cache_mode(SSL_CTX *c, long m) {
    return SSL_CTX_set_session_cache_mode(c, m);
}
static inline long ratel_SSL_set_tlsext_host_name(SSL *s, const char *n) {
    return SSL_set_tlsext_host_name(s, (char *)n);
}
static inline long ratel_SSL_CTX_set_read_ahead(SSL_CTX *c, int y) {
    SSL_CTX_set_read_ahead(c, y);
    return 1;
}
static inline void ratel_BIO_clear_retry_flags(BIO *b) { BIO_clear_retry_flags(b); }
static inline void ratel_BIO_set_retry_read(BIO *b) { BIO_set_retry_read(b); }
static inline void ratel_BIO_set_retry_write(BIO *b) { BIO_set_retry_write(b); }
static inline long ratel_BIO_get_mem_data(BIO *b, char **p) { return BIO_get_mem_data(b, p); }
static inline EVP_PKEY *ratel_EVP_EC_gen(const char *curve) { return EVP_EC_gen(curve); }
static inline int ratel_EVP_PKEY_id(const EVP_PKEY *k) { return EVP_PKEY_get_base_id(k); }
static inline STACK_OF(X509) *ratel_sk_X509_new(void) { return sk_X509_new_null(); }
static inline int ratel_sk_X509_push(STACK_OF(X509) *s, X509 *c) { return sk_X509_push(s, c); }
static inline void ratel_sk_X509_free(STACK_OF(X509) *s) { sk_X509_free(s); }
static inline int ratel_sk_X509_num(const STACK_OF(X509) *s) { return sk_X509_num(s); }
static inline X509 *ratel_sk_X509_value(const STACK_OF(X509) *s, int i) {
    return sk_X509_value(s, i);
}
static inline STACK_OF(X509_CRL) *ratel_sk_X509_CRL_new(void) { return sk_X509_CRL_new_null(); }
static inline int ratel_sk_X509_CRL_push(STACK_OF(X509_CRL) *s, X509_CRL *c) {
    return sk_X509_CRL_push(s, c);
}
static inline void ratel_sk_X509_CRL_free(STACK_OF(X509_CRL) *s) { sk_X509_CRL_free(s); }
// A public key from an uncompressed point, which is checked to lie on the curve; NULL if not.
static inline EVP_PKEY *ratel_EVP_PKEY_from_point(
    const char *curve, const unsigned char *point, size_t size) {
    OSSL_PARAM parameters[3] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, size),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (context != NULL && EVP_PKEY_fromdata_init(context) == 1) {
        if (EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}
static inline int ratel_X509_NAME_print(BIO *b, const X509_NAME *n) {
    return X509_NAME_print_ex(b, n, 0, XN_FLAG_RFC2253);
}
#endif
