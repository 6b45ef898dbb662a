internal import COpenSSL

/// Path validation to anchors that the caller names, RFC 5280 section 6; no system store, no clock.
public enum CertificateChain {
    /// What is asked of a chain besides its signatures and validity.
    public struct Options: Sendable {
        /// DER certificate revocation lists; when not empty, every certificate below the anchor is
        /// looked up, and one whose issuer has no current list here is refused.
        public var revocationLists: [[UInt8]] = []
        /// Whether a critical extension that the library does not know is let pass in the leaf.
        ///
        /// TPM endorsement certificates have critical subjectAltName or policies of the TCG
        /// (TCG EK Credential Profile section 3.2) that mean nothing for a path.
        public var toleratesUnknownCriticalInLeaf = false

        /// The name or address that the leaf must be for, as a TLS server (RFC 9525); nil where the
        /// certificate is for no server.
        public var serverName: String?

        /// The strictest: no list, nothing tolerated.
        public init() {}
    }

    /// Accepts `leaf` when a path leads from it to one of `anchors` at the Unix time `now`.
    ///
    /// An anchor need not be self-signed: whoever pins an intermediate trusts just that. The path
    /// has at most 8 certificates between. Errors: `chain` or `revoked`, with the library's
    /// reason and depth.
    public static func validate(
        _ leaf: Certificate,
        intermediates: [Certificate] = [],
        anchors: [Certificate],
        now: Int64,
        options: Options = Options()
    ) throws(KeyError) {
        defer { Library.clearErrors() }
        guard !anchors.isEmpty else { throw KeyError(.chain, "certificate: no anchor to trust") }
        // A name is checked each time: servers on the web are met once in a while.
        let key =
            options.serverName == nil
            ? ChainMemory.key(leaf, intermediates, anchors, options) : nil
        if let key, ChainMemory.holds(key, at: now) { return }
        let failed = KeyError(.library, "certificate: validation could not run")
        guard let store = unsafe X509_STORE_new() else { throw failed }
        defer { unsafe X509_STORE_free(store) }
        // An anchor that names itself as its issuer is one only if it signed itself: roots that a
        // peer sends are known by their key alone.
        for anchor in anchors where anchor.subject != anchor.issuer || anchor.isSelfSigned {
            guard unsafe X509_STORE_add_cert(store, anchor.certificate) == 1 else { throw failed }
        }
        guard let untrusted = unsafe ratel_sk_X509_new() else { throw failed }
        defer { unsafe ratel_sk_X509_free(untrusted) }
        for certificate in intermediates {
            unsafe ratel_sk_X509_push(untrusted, certificate.certificate)
        }
        var lists: [RevocationList] = []
        for der in options.revocationLists {
            let list = try RevocationList.read(der)
            guard unsafe X509_STORE_add_crl(store, list.list) == 1 else {
                throw KeyError(.library, "revocation list: cannot be used")
            }
            lists.append(list)
        }
        guard let context = unsafe X509_STORE_CTX_new() else { throw failed }
        defer { unsafe X509_STORE_CTX_free(context) }
        guard unsafe X509_STORE_CTX_init(context, store, leaf.certificate, untrusted) == 1,
            let parameters = unsafe X509_STORE_CTX_get0_param(context)
        else { throw failed }
        unsafe X509_VERIFY_PARAM_set_time(parameters, time_t(now))
        unsafe X509_VERIFY_PARAM_set_depth(parameters, 8)
        var flags = UInt(X509_V_FLAG_PARTIAL_CHAIN)
        if !lists.isEmpty { flags |= UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) }
        unsafe X509_VERIFY_PARAM_set_flags(parameters, flags)
        if let name = options.serverName {
            // For the library, no name is any name.
            guard !name.isEmpty, !name.utf8.contains(0) else {
                throw KeyError(.chain, "certificate: not a name that a server can have")
            }
            let isAddress = unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1
            guard unsafe isAddress || X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1,
                unsafe X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) == 1
            else { throw KeyError(.chain, "certificate: not a name that a server can have") }
            unsafe X509_VERIFY_PARAM_set_hostflags(
                parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        }
        if options.toleratesUnknownCriticalInLeaf {
            unsafe X509_STORE_CTX_set_verify_cb(context) { ok, context in
                let unknown = unsafe X509_STORE_CTX_get_error(context)
                let atLeaf = unsafe X509_STORE_CTX_get_error_depth(context) == 0
                guard ok == 0, atLeaf, unknown == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION
                else { return ok }
                unsafe X509_STORE_CTX_set_error(context, X509_V_OK)
                return 1
            }
        }
        guard unsafe X509_verify_cert(context) == 1 else {
            let code = unsafe X509_STORE_CTX_get_error(context)
            let depth = unsafe X509_STORE_CTX_get_error_depth(context)
            let reason: KeyError.Reason = code == X509_V_ERR_CERT_REVOKED ? .revoked : .chain
            throw unsafe KeyError(reason, "certificate: \(words(code)) (depth \(depth))")
        }
        if let key { unsafe ChainMemory.keep(key, context, lists: lists) }
    }

    @unsafe private static func words(_ code: Int32) -> String {
        guard let text = unsafe X509_verify_cert_error_string(Int(code)) else { return "\(code)" }
        return unsafe String(cString: text)
    }
}
