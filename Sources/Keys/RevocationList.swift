internal import COpenSSL

/// What a certificate revocation list says of itself, RFC 5280 section 5; its signature is checked
/// where it is used.
@safe public final class RevocationList: @unchecked Sendable {
    /// The distinguished name of the issuer, one line, RFC 2253.
    public let issuer: String
    /// thisUpdate, Unix time.
    public let thisUpdate: Int64
    /// nextUpdate, Unix time; nil where there is none.
    public let nextUpdate: Int64?
    /// The DER encoding, exactly as it was given.
    public let der: [UInt8]

    // Immutable once made; OpenSSL locks what it caches inside, so it may cross threads.
    let list: OpaquePointer

    /// Reads one DER list with no trailing bytes.
    public init(der: [UInt8]) throws(KeyError) {
        let made = unsafe Library.decode(
            der, { unsafe d2i_X509_CRL(nil, $0, $1) }, free: { unsafe X509_CRL_free($0) })
        guard let made = unsafe made else {
            throw KeyError(.malformed, "revocation list: not strictly one DER list")
        }
        do throws(KeyError) {
            thisUpdate = try unsafe Certificate.time(X509_CRL_get0_lastUpdate(made))
            if let next = unsafe X509_CRL_get0_nextUpdate(made) {
                nextUpdate = try unsafe Certificate.time(next)
            } else {
                nextUpdate = nil
            }
        } catch {
            unsafe X509_CRL_free(made)
            throw error
        }
        issuer = unsafe Certificate.name(X509_CRL_get_issuer(made))
        unsafe list = made
        self.der = der
    }

    deinit { unsafe X509_CRL_free(list) }

    // Lists of some KiB: those of the authorities of all platforms, twice over a change.
    private static let kept: Remembered<RevocationList> = VerificationMemory.memory(capacity: 32)

    /// The list with this encoding, read now or earlier.
    public static func read(_ der: [UInt8]) throws(KeyError) -> RevocationList {
        if let known = kept.value(der) { return known }
        return try RevocationList(der: der)
    }

    /// Keeps a list whose signature held, so that it need not be read again.
    func remember() { RevocationList.kept.keep(self, for: der) }

    /// Whether the list is signed by this issuer's key, and the issuer has its name.
    public func isSigned(by issuer: Certificate) -> Bool {
        guard issuer.subject == self.issuer else { return false }
        defer { Library.clearErrors() }
        return unsafe X509_CRL_verify(list, issuer.publicKey.handle) == 1
    }
}
