internal import COpenSSL

/// What a certificate revocation list says of itself, RFC 5280 section 5; its signature is checked
/// where it is used.
public struct RevocationList: Sendable, Equatable {
    /// The distinguished name of the issuer, one line, RFC 2253.
    public let issuer: String
    /// thisUpdate, Unix time.
    public let thisUpdate: Int64
    /// nextUpdate, Unix time; nil where there is none.
    public let nextUpdate: Int64?
    /// The DER encoding, exactly as it was given.
    public let der: [UInt8]

    /// Reads one DER list with no trailing bytes.
    public init(der: [UInt8]) throws(KeyError) {
        let made = unsafe Library.decode(
            der, { unsafe d2i_X509_CRL(nil, $0, $1) }, free: { unsafe X509_CRL_free($0) })
        guard let made = unsafe made else {
            throw KeyError(.malformed, "revocation list: not strictly one DER list")
        }
        defer { unsafe X509_CRL_free(made) }
        issuer = unsafe Certificate.name(X509_CRL_get_issuer(made))
        thisUpdate = try unsafe Certificate.time(X509_CRL_get0_lastUpdate(made))
        if let next = unsafe X509_CRL_get0_nextUpdate(made) {
            nextUpdate = try unsafe Certificate.time(next)
        } else {
            nextUpdate = nil
        }
        self.der = der
    }

    /// Whether the list is signed by this issuer's key, and the issuer has its name.
    public func isSigned(by issuer: Certificate) -> Bool {
        guard issuer.subject == self.issuer else { return false }
        let made = unsafe Library.decode(
            der, { unsafe d2i_X509_CRL(nil, $0, $1) }, free: { unsafe X509_CRL_free($0) })
        guard let made = unsafe made else { return false }
        defer {
            unsafe X509_CRL_free(made)
            Library.clearErrors()
        }
        return unsafe X509_CRL_verify(made, issuer.publicKey.handle) == 1
    }
}
