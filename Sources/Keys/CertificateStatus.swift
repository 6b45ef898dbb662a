internal import COpenSSL

/// What its issuer says about a certificate, as of a moment: RFC 6960.
public enum CertificateStatus: Sendable, Equatable {
    /// It is not revoked.
    case good
    /// It was revoked for good, with the CRLReason (RFC 5280 section 5.3.1); −1 if none is given.
    case revoked(reason: Int32)
    /// It is suspended: CRLReason certificateHold.
    case onHold
    /// The responder does not know it.
    case unknown
}

/// Reads answers of OCSP responders, RFC 6960, that were fetched earlier or sent along.
public enum StatusAnswer {
    /// An answer about one certificate has 2 KiB with the responder's chain; room for thirty.
    public static let maxSize = 64 * 1024
    /// How far ahead the responder's clock may be, in seconds; OpenSSL's own tools take as much.
    private static let skew: Int64 = 300

    /// What an answer says of one certificate, and when.
    public struct Statement: Sendable, Equatable {
        /// What it says.
        public let status: CertificateStatus
        /// thisUpdate and nextUpdate, Unix time.
        public let from: Int64
        public let until: Int64
    }

    /// What an answer says of `certificate`, which `issuer` issued, at the Unix time `now`; `nil`
    /// when it speaks of others only.
    ///
    /// The answer is signed by the issuer, or by a responder that the issuer certified for that
    /// (section 4.2.2.2), on a path to `anchor`; it names a next update, and now is before it.
    /// Errors: `malformed`, `signature` for a responder not trusted, `chain` when out of date.
    public static func statement(
        of certificate: Certificate,
        issuer: Certificate,
        in answer: [UInt8],
        intermediates: [Certificate],
        anchor: Certificate,
        now: Int64
    ) throws(KeyError) -> Statement? {
        defer { Library.clearErrors() }
        guard answer.count <= maxSize else { throw KeyError(.malformed, "OCSP answer: too long") }
        let made = unsafe Library.decode(
            answer,
            { unsafe d2i_OCSP_RESPONSE(nil, $0, $1) },
            free: { unsafe OCSP_RESPONSE_free($0) }
        )
        guard let response = unsafe made else {
            throw KeyError(.malformed, "OCSP answer: not strictly one DER answer")
        }
        defer { unsafe OCSP_RESPONSE_free(response) }
        guard unsafe OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL,
            let basic = unsafe OCSP_response_get1_basic(response)
        else { throw KeyError(.malformed, "OCSP answer: the responder could not answer") }
        defer { unsafe OCSP_BASICRESP_free(basic) }
        guard let found = try unsafe entry(of: certificate, issuer, in: basic) else { return nil }
        try unsafe verify(basic, intermediates + [issuer], anchor, now)
        guard found.from <= now + skew, let until = found.until, now <= until else {
            throw KeyError(.chain, "OCSP answer: out of date, or without a next update")
        }
        return Statement(status: found.status, from: found.from, until: until)
    }

    /// A question about `certificate`, which `issuer` issued: an OCSPRequest, DER, without nonce,
    /// so that services may answer with what they have prepared (section 4.1.1; RFC 5019).
    public static func question(
        about certificate: Certificate, issuer: Certificate
    ) throws(KeyError) -> [UInt8] {
        defer { Library.clearErrors() }
        let failed = KeyError(.library, "OCSP question: cannot be written")
        guard let request = unsafe OCSP_REQUEST_new() else { throw failed }
        defer { unsafe OCSP_REQUEST_free(request) }
        // Services know certificates by SHA-1 of their issuer (RFC 5019 section 2.1.1); it only
        // names it.
        guard
            let name = unsafe OCSP_cert_to_id(
                EVP_sha1(), certificate.certificate, issuer.certificate)
        else { throw failed }
        guard unsafe OCSP_request_add0_id(request, name) != nil else {
            unsafe OCSP_CERTID_free(name)
            throw failed
        }
        guard let bytes = unsafe Library.encode({ unsafe i2d_OCSP_REQUEST(request, $0) }) else {
            throw failed
        }
        return bytes
    }

    private struct Entry {
        let status: CertificateStatus
        let from: Int64
        let until: Int64?
    }

    @unsafe private static func entry(
        of certificate: Certificate,
        _ issuer: Certificate,
        in basic: OpaquePointer
    ) throws(KeyError) -> Entry? {
        // SHA-1 names the issuer here, among certificates that are already known; it signs nothing.
        for choice in 0..<3 {
            let digest =
                switch choice {
                case 0: unsafe EVP_sha384()
                case 1: unsafe EVP_sha256()
                default: unsafe EVP_sha1()
                }
            let name = unsafe OCSP_cert_to_id(digest, certificate.certificate, issuer.certificate)
            guard let name = unsafe name else { continue }
            defer { unsafe OCSP_CERTID_free(name) }
            var (status, reason): (Int32, Int32) = (-1, -1)
            var (from, until): (UnsafeMutablePointer<ASN1_STRING>?, _) =
                unsafe (nil, UnsafeMutablePointer<ASN1_STRING>?(nil))
            let found = unsafe OCSP_resp_find_status(
                basic, name, &status, &reason, nil, &from, &until)
            guard found == 1 else { continue }
            guard let first = try unsafe time(from) else {
                throw KeyError(.malformed, "OCSP answer: unreadable time")
            }
            return Entry(
                status: meaning(status, reason), from: first, until: try unsafe time(until))
        }
        return nil
    }

    private static func meaning(_ status: Int32, _ reason: Int32) -> CertificateStatus {
        switch (status, reason) {
        case (V_OCSP_CERTSTATUS_GOOD, _): .good
        case (V_OCSP_CERTSTATUS_REVOKED, OCSP_REVOKED_STATUS_CERTIFICATEHOLD): .onHold
        case (V_OCSP_CERTSTATUS_REVOKED, _): .revoked(reason: reason)
        default: .unknown
        }
    }

    @unsafe private static func verify(
        _ basic: OpaquePointer,
        _ intermediates: [Certificate],
        _ anchor: Certificate,
        _ now: Int64
    ) throws(KeyError) {
        var (hash, key): (Int32, Int32) = (0, 0)
        var object: OpaquePointer?
        unsafe X509_ALGOR_get0(&object, nil, nil, OCSP_resp_get0_tbs_sigalg(basic))
        let known = unsafe OBJ_find_sigid_algs(OBJ_obj2nid(object), &hash, &key) == 1
        guard known, [NID_sha256, NID_sha384, NID_sha512].contains(hash) else {
            throw KeyError(.unsupported, "OCSP answer: not signed over SHA-2")
        }
        let failed = KeyError(.library, "OCSP answer: validation could not run")
        guard let store = unsafe X509_STORE_new() else { throw failed }
        defer { unsafe X509_STORE_free(store) }
        guard unsafe X509_STORE_add_cert(store, anchor.certificate) == 1,
            let parameters = unsafe X509_STORE_get0_param(store)
        else { throw failed }
        unsafe X509_VERIFY_PARAM_set_time(parameters, time_t(now))
        unsafe X509_VERIFY_PARAM_set_depth(parameters, 8)
        let flags = UInt(X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CHECK_SS_SIGNATURE)
        unsafe X509_VERIFY_PARAM_set_flags(parameters, flags)
        guard let others = unsafe ratel_sk_X509_new() else { throw failed }
        defer { unsafe ratel_sk_X509_free(others) }
        for certificate in intermediates {
            unsafe ratel_sk_X509_push(others, certificate.certificate)
        }
        guard unsafe OCSP_basic_verify(basic, others, store, 0) == 1 else {
            throw KeyError(.signature, "OCSP answer: not by a responder of the issuer")
        }
    }

    @unsafe private static func time(
        _ value: UnsafeMutablePointer<ASN1_STRING>?
    ) throws(KeyError) -> Int64? {
        guard let value = unsafe value else { return nil }
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(value, &parts) == 1 else {
            throw KeyError(.malformed, "OCSP answer: unreadable time")
        }
        return unsafe Int64(timegm(&parts))
    }
}
